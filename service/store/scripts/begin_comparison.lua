-- Begin to compare a changed policy with the one in force, or continue that comparison.
--
-- The first policy is in force at once. A comparison ends if the workers have read different policies, or again the one in
-- force: no plan is made while it runs, so it must not wait for them.
--
-- KEYS  policy policy:last policy:comparison policy:read
-- ARGV  digest  of the policy of this worker
--       text    the policy as JSON; '' = none
--       read    digest; '' = the worker cannot read its policy file, so that the others decide
--       name    of the first record, if a comparison begins
--       life_s
-- Result nothing if this policy is in force or may not be compared now; else name, stage, cursor, removed and of of
--        policy:comparison
-- include lib/agreed
local key = all['policy:comparison']
redis.call('SET', all.policy, digest, 'NX')
local in_force = redis.call('GET', all.policy)
if in_force == digest then redis.call('SET', all['policy:last'], text, 'NX') end
local agreed = agreed_policy(read)
if not agreed or agreed == in_force then redis.call('UNLINK', key) end
if agreed ~= digest or agreed == in_force then return {} end

local policy, before = unpack(redis.call('HMGET', key, 'policy', 'before'))
if policy ~= digest or before ~= in_force then
  redis.call('UNLINK', key)
  redis.call('HSET', key, 'policy', digest, 'before', in_force, 'name', name, 'stage', 'compare', 'cursor', '',
    'removed', 0, 'of', 0)
  redis.call('EXPIRE', key, life_s)
end
return redis.call('HMGET', key, 'name', 'stage', 'cursor', 'removed', 'of')
