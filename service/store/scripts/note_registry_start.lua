-- Notes when the registry says that it was started, and counts a restart of which no event has told yet. Of several
-- registries behind one address each has its own start.
--
-- KEYS  started instances restarts
-- ARGV  1 its start, in its own words  2 how long ago that was (ms)
-- Result 1 if a restart was counted
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local is_first = redis.call('EXISTS', all.started) == 0
if redis.call('ZADD', all.started, 'NX', now_ms, ARGV[1]) == 0 then return 0 end
redis.call('ZREMRANGEBYRANK', all.started, 0, -65)
local newest = redis.call('ZREVRANGE', all.instances, 0, 0, 'WITHSCORES')[2]
if is_first or (newest and tonumber(newest) >= now_ms - tonumber(ARGV[2])) then return 0 end
redis.call('INCR', all.restarts)
return 1
