-- Counts entries of a stream by what happened, the newest first, and a bounded number at a time.
--
-- KEYS   1 events
-- ARGV   1 since when (ms), or ( and the id that they stand behind  2 the id that they stand before, + for the newest  3 length of a stretch (ms)
--        4 how many entries at most
-- Result how many were read, the ids of the newest (empty: there is none) and the oldest of them, then for each stretch: its beginning (ms), action, count
local before = ARGV[2]
if before ~= '+' then before = '(' .. before end
local rows = redis.call('XREVRANGE', KEYS[1], before, ARGV[1], 'COUNT', ARGV[4])
local stretch, counts, last = tonumber(ARGV[3]), {}, ARGV[2]
for _, row in ipairs(rows) do
  last = row[1]
  local at = tonumber(string.match(last, '^%d+'))
  local begins = string.format('%.0f', at - at % stretch)
  local action = ''
  for i = 1, #row[2], 2 do
    if row[2][i] == 'action' then action = row[2][i + 1] end
  end
  local of = counts[begins]
  if not of then of = {}; counts[begins] = of end
  of[action] = (of[action] or 0) + 1
end
local result = {#rows, rows[1] and rows[1][1] or '', last}
for begins, of in pairs(counts) do
  for action, count in pairs(of) do
    result[#result + 1] = begins
    result[#result + 1] = action
    result[#result + 1] = count
  end
end
return result
