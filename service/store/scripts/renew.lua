-- Renew a lease.
--
-- KEYS  lease:NAME
-- ARGV  token
--       life_ms
-- Result 1, or 0 if the lease is lost
if redis.call('GET', all['lease:NAME']) ~= token then return 0 end
return redis.call('PEXPIRE', all['lease:NAME'], life_ms)
