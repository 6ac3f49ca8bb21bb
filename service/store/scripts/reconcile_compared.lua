-- A repository of the walk under way was compared; saying it twice counts once.
--
-- KEYS  reconcile:walk reconcile:todo reconcile:tries
-- ARGV  1 repository  2 tags  3 tags in which the history differed
if redis.call('ZREM', all['reconcile:todo'], ARGV[1]) == 0 or redis.call('EXISTS', all['reconcile:walk']) == 0 then return end
redis.call('HDEL', all['reconcile:tries'], ARGV[1])
redis.call('HSET', all['reconcile:walk'], 'row', 0)
redis.call('HINCRBY', all['reconcile:walk'], 'repositories', 1)
redis.call('HINCRBY', all['reconcile:walk'], 'tags', ARGV[2])
redis.call('HINCRBY', all['reconcile:walk'], 'changed', ARGV[3])
