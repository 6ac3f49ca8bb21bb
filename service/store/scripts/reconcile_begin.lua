-- Begins the walk over everything that is wanted, unless one is under way.
--
-- KEYS  reconcile:due reconcile:run reconcile:epoch
-- ARGV  1 now_ms  2 the epoch in which it begins
if redis.call('EXISTS', all['reconcile:run']) == 1 then return end
local reason = redis.call('GET', all['reconcile:due'])
if not reason then return end
redis.call('HSET', all['reconcile:run'], 'reason', reason, 'since_ms', ARGV[1], 'whole', 1, 'listed', 0, 'cursor', '')
redis.call('SET', all['reconcile:epoch'], ARGV[2])
redis.call('DEL', all['reconcile:due'])
