-- Note that the current reconcile run could not compare a repository: it is tried again after all others, or counts as failed.
--
-- KEYS  reconcile:run reconcile:todo reconcile:attempts reconcile:pause
-- ARGV  repository
--       max_attempts  then it counts as failed
--       message
--       first_ms      the first pause after failures in a row; 0 = none
--       longest_ms    the longest pause
-- include lib/clock
local run, todo = all['reconcile:run'], all['reconcile:todo']
if redis.call('EXISTS', run) == 0 or not redis.call('ZSCORE', todo, repository) then return end
redis.call('HSET', run, 'message', message)
if redis.call('HINCRBY', all['reconcile:attempts'], repository, 1) >= tonumber(max_attempts) then
  redis.call('ZREM', todo, repository)
  redis.call('HINCRBY', run, 'failed', 1)
else
  redis.call('ZADD', todo, now_ms, repository)
end
local row = redis.call('HINCRBY', run, 'row', 1)
local pause_ms = math.min(tonumber(longest_ms), tonumber(first_ms) * 2 ^ math.min(row - 1, 20))
if pause_ms > 0 then redis.call('SET', all['reconcile:pause'], '1', 'PX', math.floor(pause_ms)) end
