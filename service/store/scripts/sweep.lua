-- The members of an outbox whose time has come; each is put off, so that no two sweeps send the same.
--
-- KEYS  1 outbox (due or doomed)
-- ARGV  1 how many at most  2 resend after (ms)
-- Result the members to send
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(members) do redis.call('ZADD', KEYS[1], 'XX', now_ms + tonumber(ARGV[2]), member) end
return members
