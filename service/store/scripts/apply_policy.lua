-- Put a changed policy in force, if every repository is due for it and no worker has read another one meanwhile.
--
-- KEYS  policy policy:last policy:comparison policy:read
-- ARGV  name  of the last record of its comparison
--       text  the policy as JSON; '' = none
-- Result 1 it is in force; 0 the workers differ, another worker continued, or another comparison runs
-- include lib/agreed
local key = all['policy:comparison']
local last, stage, policy, before = unpack(redis.call('HMGET', key, 'name', 'stage', 'policy', 'before'))
if last ~= name or stage ~= 'due' or before ~= redis.call('GET', all.policy) then return 0 end
if agreed_policy(policy) ~= policy then return 0 end
redis.call('MSET', all.policy, policy, all['policy:last'], text)
redis.call('UNLINK', key)
return 1
