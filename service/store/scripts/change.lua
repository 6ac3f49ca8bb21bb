-- Counts a change that somebody asks for, where there is room for one.
--
-- KEYS  1 changes
-- ARGV  1 changes a minute at most
-- Result {1 = it may be made, 0 = it may not; ms until there is room again}
local made = tonumber(redis.call('GET', KEYS[1]) or 0)
if made >= tonumber(ARGV[1]) then
  return {0, math.max(redis.call('PTTL', KEYS[1]), 0)}
end
redis.call('INCR', KEYS[1])
if made == 0 then redis.call('PEXPIRE', KEYS[1], 60000) end
return {1, 0}
