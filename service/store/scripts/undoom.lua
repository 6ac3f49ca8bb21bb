-- Takes a digest off the doomed ones without deleting it, and has its repository planned again.
--
-- KEYS  doomed:R doomed generation due
-- ARGV  1 repository  2 short digest  3 resend after (ms)
-- Result 1 spared, 0 it was not doomed any more

-- include bump
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local spared = redis.call('HDEL', r.doomed, ARGV[2])
if redis.call('HLEN', r.doomed) == 0 then redis.call('ZREM', all.doomed, ARGV[1]) end
bump(ARGV[1])
redis.call('ZADD', all.due, 'LT', now_ms + tonumber(ARGV[3]), ARGV[1])
return spared
