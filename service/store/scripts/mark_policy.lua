-- Note how far repositories were made due for a changed policy, if all were compared by it.
--
-- KEYS  policy:comparison
-- ARGV  digest  of the changed policy
--       marked  the last repository that was made due for it
--       life_s
-- Result 1 noted; 0 the policy was changed again, and the comparison that runs now is another one
local policy, is_compared = unpack(redis.call('HMGET', all['policy:comparison'], 'policy', 'marked'))
if policy ~= digest or not is_compared then return 0 end
redis.call('HSET', all['policy:comparison'], 'marked', marked)
redis.call('EXPIRE', all['policy:comparison'], life_s)
return 1
