-- Note that the current reconcile run compared a repository. The same note counts once.
--
-- KEYS  reconcile:run reconcile:todo reconcile:attempts
-- ARGV  repository
--       tags
--       changed  tags in which the history differed
local run = all['reconcile:run']
if redis.call('ZREM', all['reconcile:todo'], repository) == 0 or redis.call('EXISTS', run) == 0 then return end
redis.call('HDEL', all['reconcile:attempts'], repository)
redis.call('HSET', run, 'row', 0)
redis.call('HINCRBY', run, 'repositories', 1)
redis.call('HINCRBY', run, 'tags', tags)
redis.call('HINCRBY', run, 'changed', changed)
