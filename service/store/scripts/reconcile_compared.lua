-- A repository of the walk under way was compared; saying it twice counts once.
--
-- KEYS  reconcile:run reconcile:todo reconcile:attempts
-- ARGV  1 repository  2 tags  3 tags in which the history differed
if redis.call('ZREM', all['reconcile:todo'], ARGV[1]) == 0 or redis.call('EXISTS', all['reconcile:run']) == 0 then return end
redis.call('HDEL', all['reconcile:attempts'], ARGV[1])
redis.call('HSET', all['reconcile:run'], 'row', 0)
redis.call('HINCRBY', all['reconcile:run'], 'repositories', 1)
redis.call('HINCRBY', all['reconcile:run'], 'tags', ARGV[2])
redis.call('HINCRBY', all['reconcile:run'], 'changed', ARGV[3])
