-- Notes repositories that the walk under way has to compare, and how far the catalog was read.
--
-- KEYS  1 reconcile:walk  2 reconcile:todo
-- ARGV  1 cursor ('.' = all of it was read)  2 what to note of the catalog; then the repositories
if redis.call('EXISTS', KEYS[1]) == 0 then return end
for i = 3, #ARGV do redis.call('ZADD', KEYS[2], 'NX', 1, ARGV[i]) end
redis.call('HSET', KEYS[1], 'row', 0)
if ARGV[1] == '.' then redis.call('HSET', KEYS[1], 'listed', 1) else redis.call('HSET', KEYS[1], 'cursor', ARGV[1]) end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'catalog', ARGV[2]) end
