-- A repository of the walk under way was compared; saying it twice counts once.
--
-- KEYS  1 reconcile:walk  2 reconcile:todo  3 reconcile:tries
-- ARGV  1 repository  2 tags  3 tags in which the history differed
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 or redis.call('EXISTS', KEYS[1]) == 0 then return end
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HSET', KEYS[1], 'row', 0)
redis.call('HINCRBY', KEYS[1], 'repositories', 1)
redis.call('HINCRBY', KEYS[1], 'tags', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'changed', ARGV[3])
