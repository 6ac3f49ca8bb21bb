-- Has tags looked at now, after a DELETE that failed: it may have done its work all the same.
--
-- KEYS  heal:R healing
-- ARGV  1 repository  2 resend after (ms); then the tags
-- Result the time of these looks (ms)
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
for i = 3, #ARGV do redis.call('ZADD', r.heal, now_ms, ARGV[i]) end
redis.call('ZADD', all.healing, 'LT', now_ms + tonumber(ARGV[2]), ARGV[1])
return now_ms
