-- Note the start time that the registry reports, and count a restart that no event has reported yet. Several registries
-- behind one address have a start time each.
--
-- KEYS  started instances restarts
-- ARGV  start   as the registry reports it
--       age_ms  how long ago that was
-- Result 1 if a restart was counted
-- include lib/clock
local is_first = redis.call('EXISTS', all.started) == 0
if redis.call('ZADD', all.started, 'NX', now_ms, start) == 0 then return 0 end
redis.call('ZREMRANGEBYRANK', all.started, 0, -65)
local newest = redis.call('ZREVRANGE', all.instances, 0, 0, 'WITHSCORES')[2]
if is_first or (newest and tonumber(newest) >= now_ms - age_ms) then return 0 end
redis.call('INCR', all.restarts)
return 1
