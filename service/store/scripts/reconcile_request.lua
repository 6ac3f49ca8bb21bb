-- Request a comparison of repositories before all others: in the current reconcile run, or in one of their own.
--
-- KEYS  reconcile:run reconcile:todo
-- ARGV  reason
--       repositories...
-- include lib/clock
local run, todo = all['reconcile:run'], all['reconcile:todo']
for _, repository in ipairs(repositories) do redis.call('ZADD', todo, 0, repository) end
if redis.call('EXISTS', run) == 0 then
  redis.call('HSET', run, 'reason', reason, 'since_ms', now_ms, 'whole', 0, 'listed', 1, 'cursor', '')
end
