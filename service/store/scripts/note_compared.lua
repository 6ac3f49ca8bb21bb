-- Note that a changed policy was compared over all repositories, unless its comparison ended since its last record.
--
-- The approvals that it requires were recorded after that record. Without the comparison, plans by the policy before may have
-- dropped them already.
--
-- KEYS  policy policy:comparison
-- ARGV  name  of the last record
-- Result 1 noted; 0 begin again
local noted, before = unpack(redis.call('HMGET', all['policy:comparison'], 'name', 'before'))
if noted ~= name or before ~= redis.call('GET', all.policy) then return 0 end
redis.call('HSET', all['policy:comparison'], 'marked', '')
return 1
