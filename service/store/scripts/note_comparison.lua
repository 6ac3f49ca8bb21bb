-- Record how far a changed policy was compared or repositories were made due for it, if no other worker recorded more.
--
-- KEYS  policy:comparison
-- ARGV  name     of the last record that the worker knows
--       next     the name of this record
--       stage    compare | due
--       cursor   the last repository; '' = none
--       removed  tags that the policy would delete until then
--       of       tags of all repositories until then
--       life_s
--       deletes...  repositories in which it would delete tags, beside those that are recorded
-- Result 1 recorded; 0 another worker continued, or another comparison runs
local key = all['policy:comparison']
if redis.call('HGET', key, 'name') ~= name then return 0 end
redis.call('HSET', key, 'name', next, 'stage', stage, 'cursor', cursor, 'removed', removed, 'of', of)
for _, repository in ipairs(deletes) do redis.call('HSET', key, 'deletes ' .. repository, '') end
redis.call('EXPIRE', key, life_s)
return 1
