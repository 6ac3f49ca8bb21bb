-- KEYS  1 lease:NAME   ARGV  1 token   Result 1 released, 0 it was not ours
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
