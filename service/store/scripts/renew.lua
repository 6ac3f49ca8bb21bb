-- KEYS  1 lease:NAME   ARGV  1 token  2 time to live (ms)   Result 1 renewed, 0 lost
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
