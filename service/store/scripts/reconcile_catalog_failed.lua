-- The catalog could not be read on by the walk under way, which waits for a while.
--
-- KEYS  reconcile:run reconcile:pause
-- ARGV  1 why  2 the first and 3 the longest pause after failures in a row (ms)  4 for how long the registry asks (ms)
-- Result the failures in a row
if redis.call('EXISTS', all['reconcile:run']) == 0 then return 0 end
redis.call('HSET', all['reconcile:run'], 'message', ARGV[1])
local row = redis.call('HINCRBY', all['reconcile:run'], 'row', 1)
local pause = math.min(tonumber(ARGV[3]), tonumber(ARGV[2]) * 2 ^ math.min(row - 1, 20))
-- The registry knows best: a pause that it asks for does not double.
if tonumber(ARGV[4]) > 0 then pause = math.max(tonumber(ARGV[4]), tonumber(ARGV[2])) end
redis.call('SET', all['reconcile:pause'], '1', 'PX', math.floor(pause))
return row
