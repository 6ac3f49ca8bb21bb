-- Put a changed policy in force, if its own comparison has ended and every repository is due for it.
--
-- A worker that was held up may ask for this once the policy was changed again, and back perhaps. It must not end the
-- comparison that runs now: the approvals that this comparison is about to require would be missing, and plans by the policy
-- before could drop those that it has required already.
--
-- KEYS  policy policy:last policy:comparison policy:removes
-- ARGV  digest  of the changed policy
--       text    the policy as JSON; '' = none
--       marked  the last repository that the worker made due for it; '' = there is none
-- Result 1 it is in force; 0 begin again
local policy, last = unpack(redis.call('HMGET', all['policy:comparison'], 'policy', 'marked'))
if policy ~= digest or last ~= marked then return 0 end
redis.call('MSET', all.policy, digest, all['policy:last'], text)
redis.call('UNLINK', all['policy:comparison'], all['policy:removes'])
return 1
