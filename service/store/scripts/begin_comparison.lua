-- Begin to compare a changed policy with the one in force, or continue that comparison.
--
-- The first policy is in force at once. If the policy in force is not a changed one (any more), no comparison runs.
--
-- KEYS  policy policy:last policy:comparison
-- ARGV  digest  of the policy that the worker has read
--       text    the policy as JSON; '' = none
--       name    of the first record, if a comparison begins
--       life_s
-- Result nothing if this policy is in force; else name, stage, cursor, removed and of of policy:comparison
local key = all['policy:comparison']
redis.call('SET', all.policy, digest, 'NX')
local in_force = redis.call('GET', all.policy)
if in_force == digest then
  redis.call('SET', all['policy:last'], text, 'NX')
  redis.call('UNLINK', key)
  return {}
end
local policy, before = unpack(redis.call('HMGET', key, 'policy', 'before'))
if policy ~= digest or before ~= in_force then
  redis.call('UNLINK', key)
  redis.call('HSET', key, 'policy', digest, 'before', in_force, 'name', name, 'stage', 'compare', 'cursor', '',
    'removed', 0, 'of', 0)
  redis.call('EXPIRE', key, life_s)
end
return redis.call('HMGET', key, 'name', 'stage', 'cursor', 'removed', 'of')
