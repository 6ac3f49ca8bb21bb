-- Begin the requested reconcile run over all repositories, unless a run is in progress.
--
-- KEYS  reconcile:due reconcile:run reconcile:epoch
-- ARGV  epoch  in which it begins
-- include lib/clock
local run = all['reconcile:run']
if redis.call('EXISTS', run) == 1 then return end
local reason = redis.call('GET', all['reconcile:due'])
if not reason then return end
redis.call('HSET', run, 'reason', reason, 'since_ms', now_ms, 'whole', 1, 'listed', 0, 'cursor', '')
redis.call('SET', all['reconcile:epoch'], epoch)
redis.call('DEL', all['reconcile:due'])
