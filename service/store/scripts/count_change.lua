-- Counts a change that somebody asks for, where there is room for one.
--
-- KEYS  changes
-- ARGV  1 changes a minute at most
-- Result {1 = it may be made, 0 = it may not; ms until there is room again}
local made = tonumber(redis.call('GET', all.changes) or 0)
if made >= tonumber(ARGV[1]) then
  return {0, math.max(redis.call('PTTL', all.changes), 0)}
end
redis.call('INCR', all.changes)
if made == 0 then redis.call('PEXPIRE', all.changes, 60000) end
return {1, 0}
