-- Release a lease.
--
-- KEYS  lease:NAME
-- ARGV  token
-- Result 1, or 0 if this token does not hold the lease
if redis.call('GET', all['lease:NAME']) ~= token then return 0 end
return redis.call('DEL', all['lease:NAME'])
