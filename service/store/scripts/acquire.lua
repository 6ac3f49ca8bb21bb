-- Acquire a lease that has one holder at a time. Its fence number grows with every holder.
--
-- A lease that lasts for longer than any lease can was made before the clock of Redis was set back. It is cut to the
-- longest life; its holder renews it if it lives.
--
-- KEYS  lease:NAME fence
-- ARGV  token
--       life_ms
--       longest_ms  the longest life of all leases
-- Result the fence number, or 0 if another process holds the lease. The same token may acquire again (a retried call).
local lease = all['lease:NAME']
local holder = redis.call('GET', lease)
if holder and holder ~= token then
  if redis.call('PTTL', lease) > tonumber(longest_ms) then redis.call('PEXPIRE', lease, longest_ms) end
  return 0
end
redis.call('SET', lease, token, 'PX', life_ms)
return redis.call('INCR', all.fence)
