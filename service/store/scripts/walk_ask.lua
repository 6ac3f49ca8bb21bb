-- Asks for these repositories to be compared, before any other: in the walk under way, or in one of their own.
--
-- KEYS  1 reconcile:walk  2 reconcile:todo
-- ARGV  1 reason  2 now_ms; then the repositories
for i = 3, #ARGV do redis.call('ZADD', KEYS[2], 0, ARGV[i]) end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'reason', ARGV[1], 'since_ms', ARGV[2], 'whole', 0, 'listed', 1, 'cursor', '')
end
