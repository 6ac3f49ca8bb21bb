-- A repository of the walk under way could not be compared: it comes again after all others, or counts as failed.
--
-- KEYS  reconcile:run reconcile:todo reconcile:attempts reconcile:pause
-- ARGV  1 repository  2 now_ms  3 after so many attempts it counts as failed  4 why
--       5 the first and 6 the longest pause of the walk after failures in a row (ms; 0 = none)
if redis.call('EXISTS', all['reconcile:run']) == 0 or not redis.call('ZSCORE', all['reconcile:todo'], ARGV[1]) then return end
redis.call('HSET', all['reconcile:run'], 'message', ARGV[4])
if redis.call('HINCRBY', all['reconcile:attempts'], ARGV[1], 1) >= tonumber(ARGV[3]) then
  redis.call('ZREM', all['reconcile:todo'], ARGV[1])
  redis.call('HINCRBY', all['reconcile:run'], 'failed', 1)
else
  redis.call('ZADD', all['reconcile:todo'], ARGV[2], ARGV[1])
end
local row = redis.call('HINCRBY', all['reconcile:run'], 'row', 1)
local pause = math.min(tonumber(ARGV[6]), tonumber(ARGV[5]) * 2 ^ math.min(row - 1, 20))
if pause > 0 then redis.call('SET', all['reconcile:pause'], '1', 'PX', math.floor(pause)) end
