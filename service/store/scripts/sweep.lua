-- Returns the members of an outbox whose time has come. Each is postponed, so that no two sweeps send the same member.
-- The time at which a member first became overdue is remembered until its work gets on: postponing hides it otherwise.
--
-- KEYS  1 outbox (due, doomed or healing)  2 late:NAME of that outbox
-- ARGV  1 members to return (maximum)  2 resend after (ms)  3 longest back-off (ms)
-- Result the members to send
local outbox, late = KEYS[1], KEYS[2]
local maximum, resend_ms, longest_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)

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
