-- Record which policy a worker has read, and forget each worker that is silent while others are not.
--
-- Of the time since the last sign of any worker, only a part counts: Redis was away, or its clock was set. Otherwise the
-- first worker that comes back would be the only one that is known.
--
-- KEYS  policy:read
-- ARGV  worker
--       digest   of the policy; '' = the worker cannot read its policy file
--       life_ms  for how long a silent worker counts
--       most_ms  how much of the time without any sign counts
-- include lib/clock
local key = all['policy:read']
local last_ms = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2] or now_ms
local silent_ms = now_ms - last_ms
local uncounted_ms = silent_ms - math.max(0, math.min(silent_ms, most_ms))
for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
  if string.match(member, '^(.*) ') == worker then redis.call('ZREM', key, member)
  elseif uncounted_ms ~= 0 then redis.call('ZINCRBY', key, uncounted_ms, member) end
end
redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms - life_ms)
redis.call('ZADD', key, now_ms, worker .. ' ' .. digest)
