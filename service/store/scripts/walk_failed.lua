-- A repository of the walk under way could not be compared: it comes again after all others, or counts as failed.
--
-- KEYS  1 reconcile:walk  2 reconcile:todo  3 reconcile:tries  4 reconcile:pause
-- ARGV  1 repository  2 now_ms  3 after so many attempts it counts as failed  4 why
--       5 the first and 6 the longest pause of the walk after failures in a row (ms; 0 = none)
if redis.call('EXISTS', KEYS[1]) == 0 or not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return end
redis.call('HSET', KEYS[1], 'message', ARGV[4])
if redis.call('HINCRBY', KEYS[3], ARGV[1], 1) >= tonumber(ARGV[3]) then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('HINCRBY', KEYS[1], 'failed', 1)
else
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
end
local row = redis.call('HINCRBY', KEYS[1], 'row', 1)
local pause = math.min(tonumber(ARGV[6]), tonumber(ARGV[5]) * 2 ^ math.min(row - 1, 20))
if pause > 0 then redis.call('SET', KEYS[4], '1', 'PX', math.floor(pause)) end
