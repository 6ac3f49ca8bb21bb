-- Notes repositories that the walk under way has to compare, and how far the catalog was read.
--
-- KEYS  reconcile:run reconcile:todo
-- ARGV  1 cursor ('.' = all of it was read)  2 what to note of the catalog; then the repositories
if redis.call('EXISTS', all['reconcile:run']) == 0 then return end
for i = 3, #ARGV do redis.call('ZADD', all['reconcile:todo'], 'NX', 1, ARGV[i]) end
redis.call('HSET', all['reconcile:run'], 'row', 0)
if ARGV[1] == '.' then redis.call('HSET', all['reconcile:run'], 'listed', 1) else redis.call('HSET', all['reconcile:run'], 'cursor', ARGV[1]) end
if ARGV[2] ~= '' then redis.call('HSET', all['reconcile:run'], 'catalog', ARGV[2]) end
