-- Asks for these repositories to be compared, before any other: in the walk under way, or in one of their own.
--
-- KEYS  reconcile:run reconcile:todo
-- ARGV  1 reason  2 now_ms; then the repositories
for i = 3, #ARGV do redis.call('ZADD', all['reconcile:todo'], 0, ARGV[i]) end
if redis.call('EXISTS', all['reconcile:run']) == 0 then
  redis.call('HSET', all['reconcile:run'], 'reason', ARGV[1], 'since_ms', ARGV[2], 'whole', 0, 'listed', 1, 'cursor', '')
end
