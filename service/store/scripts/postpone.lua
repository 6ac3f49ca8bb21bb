-- Puts one member of an outbox off until later, if it is still there; a push that comes meanwhile does not wait for it.
--
-- KEYS  1 outbox  2 attempts  3 healing, where that is worked off with it
-- ARGV  1 member  2 attempt's field  3 first wait (ms)  4 longest wait (ms)  5 wait asked for by the registry (ms; 0 = none)
-- Result the wait (ms)
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local failed = redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
local wait = math.min(tonumber(ARGV[3]) * 2 ^ math.min(failed - 1, 20), tonumber(ARGV[4]))
-- The registry knows best: a wait that it asks for does not double.
if tonumber(ARGV[5]) > 0 then wait = math.max(tonumber(ARGV[5]), tonumber(ARGV[3])) end
redis.call('ZADD', KEYS[1], 'XX', now_ms + wait, ARGV[1])
if KEYS[3] then redis.call('ZADD', KEYS[3], 'XX', 'GT', now_ms + wait, ARGV[1]) end
redis.call('HSET', KEYS[2], ARGV[2] .. ' until', now_ms + wait)
return wait
