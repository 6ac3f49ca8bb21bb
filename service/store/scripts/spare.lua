-- Takes a digest off the doomed ones without deleting it, and has its repository planned again.
--
-- KEYS  1 doomed:R  2 doomed (zset)  3 generation  4 due
-- ARGV  1 repository  2 short digest  3 resend after (ms)
-- Result 1 spared, 0 it was not doomed any more
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local spared = redis.call('HDEL', KEYS[1], ARGV[2])
if redis.call('HLEN', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], ARGV[1]) end
redis.call('HINCRBY', KEYS[3], ARGV[1], 1)
redis.call('ZADD', KEYS[4], 'NX', now_ms + tonumber(ARGV[3]), ARGV[1])
return spared
