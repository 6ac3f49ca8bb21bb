-- Ends the walk under way, if nothing is left to compare, and records it as the last one.
--
-- KEYS  reconcile:run reconcile:todo reconcile:attempts reconcile:last
-- ARGV  1 now_ms  2 1 = it ends whatever is left
-- Result 1 if it ended
if redis.call('EXISTS', all['reconcile:run']) == 0 then return 0 end
if ARGV[2] ~= '1' and redis.call('ZCARD', all['reconcile:todo']) > 0 then return 0 end
local of = function(name, default) return redis.call('HGET', all['reconcile:run'], name) or default end
redis.call('DEL', all['reconcile:last'])
redis.call('HSET', all['reconcile:last'], 'at_ms', ARGV[1], 'took_ms', string.format('%.0f', tonumber(ARGV[1]) - tonumber(of('since_ms', ARGV[1]))),
  'reason', of('reason', ''), 'whole', of('whole', 0), 'repositories', of('repositories', 0), 'tags', of('tags', 0),
  'changed', of('changed', 0), 'failed', of('failed', 0), 'catalog', of('catalog', ''), 'message', of('message', ''))
redis.call('DEL', all['reconcile:run'], all['reconcile:todo'], all['reconcile:attempts'])
return 1
