-- Return the members of the outbox whose time has come. Each is postponed, so that no two sweeps send the same member.
-- The time at which a member first became overdue is remembered until its work succeeds, because postponing hides it.
--
-- KEYS  NAME late:NAME
-- ARGV  maximum     members to return
--       resend_ms   a member that is sent is sent again after this time
--       longest_ms  the longest back-off
-- Result the members to send
-- include lib/clock
local outbox, late = all.NAME, all['late:NAME']

-- A member that left the outbox, or that waits for a time far ahead, is not late any more.
for _, member in ipairs(redis.call('ZRANGE', late, 0, maximum - 1)) do
  local score = redis.call('ZSCORE', outbox, member)
  if not score or tonumber(score) > now_ms + longest_ms then redis.call('ZREM', late, member) end
end

local overdue = redis.call('ZRANGEBYSCORE', outbox, '-inf', now_ms, 'WITHSCORES', 'LIMIT', 0, maximum)
local members = {}
for i = 1, #overdue, 2 do
  members[#members + 1] = overdue[i]
  redis.call('ZADD', late, 'NX', overdue[i + 1], overdue[i])
  redis.call('ZADD', outbox, 'XX', now_ms + resend_ms, overdue[i])
end
return members
