-- Postpone a member of the outbox, if it is still there. Each failure in a row doubles the wait. A push does not wait for it.
--
-- KEYS  NAME attempts healing
-- ARGV  repository
--       queue         the name of the queue in `attempts`
--       with_healing  1 if healing is postponed as well
--       first_ms      the first wait
--       longest_ms    the longest wait
--       asked_ms      the wait that the registry asked for; 0 = none
-- Result the wait (ms)
-- include lib/clock
local field = queue .. ' ' .. repository
local failures = redis.call('HINCRBY', all.attempts, field, 1)
local wait_ms = math.min(tonumber(first_ms) * 2 ^ math.min(failures - 1, 20), tonumber(longest_ms))
-- The registry knows best: a wait that it asks for does not double.
if tonumber(asked_ms) > 0 then wait_ms = math.max(tonumber(asked_ms), tonumber(first_ms)) end
redis.call('ZADD', all.NAME, 'XX', now_ms + wait_ms, repository)
if with_healing == '1' then redis.call('ZADD', all.healing, 'XX', 'GT', now_ms + wait_ms, repository) end
redis.call('HSET', all.attempts, field .. ' until', now_ms + wait_ms)
return wait_ms
