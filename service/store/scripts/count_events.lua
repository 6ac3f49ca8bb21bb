-- Count entries of events by action and interval, the newest first, a limited number at a time.
--
-- KEYS  events
-- ARGV  after        ms, or "(" and the id of the entry that they come after
--       before       the id of the entry that they come before, "+" for the newest
--       interval_ms
--       maximum      entries to read
-- Result the number of entries read, the ids of the newest ('' if there is none) and the oldest of them; then for each
--        interval and action: its beginning (ms), the action, the count
local newest = before
if before ~= '+' then newest = '(' .. before end
local rows = redis.call('XREVRANGE', all.events, newest, after, 'COUNT', maximum)
local counts, last = {}, before
for _, row in ipairs(rows) do
  last = row[1]
  local at_ms = tonumber(string.match(last, '^%d+'))
  local begins_ms = string.format('%.0f', at_ms - at_ms % interval_ms)
  local action = ''
  for i = 1, #row[2], 2 do
    if row[2][i] == 'action' then action = row[2][i + 1] end
  end
  local actions = counts[begins_ms]
  if not actions then actions = {}; counts[begins_ms] = actions end
  actions[action] = (actions[action] or 0) + 1
end
local result = {#rows, rows[1] and rows[1][1] or '', last}
for begins_ms, actions in pairs(counts) do
  for action, count in pairs(actions) do
    result[#result + 1] = begins_ms
    result[#result + 1] = action
    result[#result + 1] = count
  end
end
return result
