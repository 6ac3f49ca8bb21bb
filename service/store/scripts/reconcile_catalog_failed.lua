-- Note that the current reconcile run could not read on in the catalog, and pause it.
--
-- KEYS  reconcile:run reconcile:pause
-- ARGV  message
--       first_ms    the first pause after failures in a row
--       longest_ms  the longest pause
--       asked_ms    the pause that the registry asked for; 0 = none
-- Result the failures in a row
local run = all['reconcile:run']
if redis.call('EXISTS', run) == 0 then return 0 end
redis.call('HSET', run, 'message', message)
local row = redis.call('HINCRBY', run, 'row', 1)
local pause_ms = math.min(tonumber(longest_ms), tonumber(first_ms) * 2 ^ math.min(row - 1, 20))
-- The registry knows best: a pause that it asks for does not double.
if tonumber(asked_ms) > 0 then pause_ms = math.max(tonumber(asked_ms), tonumber(first_ms)) end
redis.call('SET', all['reconcile:pause'], '1', 'PX', math.floor(pause_ms))
return row
