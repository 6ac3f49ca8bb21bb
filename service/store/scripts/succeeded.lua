-- End the back-off, the trouble and the lateness of a repository in a queue, because its work succeeded.
--
-- KEYS  late:NAME late:healing attempts troubles
-- ARGV  repository
--       queue       due, doomed or healing. Planning heals first: when it succeeded, healing did, too
-- Result 1
local member = queue .. ' ' .. repository
redis.call('ZREM', all['late:NAME'], repository)
if queue == 'due' then redis.call('ZREM', all['late:healing'], repository) end
redis.call('HDEL', all.attempts, member, member .. ' until')
redis.call('HDEL', all.troubles, member)
return 1
