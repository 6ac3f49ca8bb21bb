-- Write one key, to see if Redis accepts writes by scripts: a replica, a full memory or disk, and a narrow ACL refuse.
--
-- KEYS  pulse
-- Result the time of Redis (ms)
-- include lib/clock
redis.call('SET', all.pulse, now_ms, 'PX', 60000)
return now_ms
