-- Begins the walk over everything that is wanted, unless one is under way.
--
-- KEYS  1 reconcile:due  2 reconcile:walk  3 reconcile:epoch
-- ARGV  1 now_ms  2 the epoch in which it begins
if redis.call('EXISTS', KEYS[2]) == 1 then return end
local reason = redis.call('GET', KEYS[1])
if not reason then return end
redis.call('HSET', KEYS[2], 'reason', reason, 'since_ms', ARGV[1], 'whole', 1, 'listed', 0, 'cursor', '')
redis.call('SET', KEYS[3], ARGV[2])
redis.call('DEL', KEYS[1])
