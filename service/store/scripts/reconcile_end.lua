-- End the current reconcile run, if nothing is left to compare, and record it as the last one.
--
-- KEYS  reconcile:run reconcile:todo reconcile:attempts reconcile:last
-- ARGV  in_any_case  1 to end it whatever is left
-- Result 1 if it ended
-- include lib/clock
local run = all['reconcile:run']
if redis.call('EXISTS', run) == 0 then return 0 end
if in_any_case ~= '1' and redis.call('ZCARD', all['reconcile:todo']) > 0 then return 0 end
local function field(name, default) return redis.call('HGET', run, name) or default end
redis.call('DEL', all['reconcile:last'])
redis.call('HSET', all['reconcile:last'], 'at_ms', now_ms,
  'took_ms', string.format('%.0f', now_ms - tonumber(field('since_ms', now_ms))), 'reason', field('reason', ''),
  'whole', field('whole', 0), 'repositories', field('repositories', 0), 'tags', field('tags', 0),
  'changed', field('changed', 0), 'failed', field('failed', 0), 'catalog', field('catalog', ''),
  'message', field('message', ''))
redis.call('DEL', run, all['reconcile:todo'], all['reconcile:attempts'])
return 1
