-- Counts a change that somebody asks for, where there is room for one.
--
-- KEYS  change_limit
-- ARGV  1 changes a minute at most
-- Result {1 = it may be made, 0 = it may not; ms until there is room again}
local made = tonumber(redis.call('GET', all.change_limit) or 0)
if made >= tonumber(ARGV[1]) then
  return {0, math.max(redis.call('PTTL', all.change_limit), 0)}
end
redis.call('INCR', all.change_limit)
if made == 0 then redis.call('PEXPIRE', all.change_limit, 60000) end
return {1, 0}
