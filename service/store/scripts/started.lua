-- Notes when the registry says that it was started, and counts a restart of which no event has told yet. Of several
-- registries behind one address each has its own start.
--
-- KEYS  1 started  2 instances  3 restarts
-- ARGV  1 its start, in its own words  2 how long ago that was (ms)
-- Result 1 if a restart was counted
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local is_first = redis.call('EXISTS', KEYS[1]) == 0
if redis.call('ZADD', KEYS[1], 'NX', now_ms, ARGV[1]) == 0 then return 0 end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -65)
local newest = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
if is_first or (newest and tonumber(newest) >= now_ms - tonumber(ARGV[2])) then return 0 end
redis.call('INCR', KEYS[3])
return 1
