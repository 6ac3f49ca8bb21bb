-- Writes one key, to see whether Redis takes writes by scripts: a replica, a full memory or disk, and a narrow ACL refuse.
--
-- KEYS  1 pulse
-- Result the time of Redis (ms)
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('SET', KEYS[1], now_ms, 'PX', 60000)
return now_ms
