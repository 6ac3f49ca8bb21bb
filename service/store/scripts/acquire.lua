-- One holder at a time, fenced by a number that only grows.
--
-- A lease that lasts for longer than any lease can is cut to the longest: the clock of Redis was set back since, and its
-- holder renews it if it lives.
--
-- KEYS  1 lease:NAME  2 fence
-- ARGV  1 token  2 time to live (ms)  3 longest lease (ms)
-- Result the fence number, or 0 when somebody else holds it. The same token may acquire again (a retried call).
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('INCR', KEYS[2])
