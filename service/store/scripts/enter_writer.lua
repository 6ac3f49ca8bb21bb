-- A writer enters (or renews its stay) unless a collection holds or wants the registry. The gate tells of one whose
-- holder has lost its lease, and whose collector may still run.
--
-- KEYS  1 lease:collect  2 writers  3 gate
-- ARGV  1 token  2 time to live (ms)  3 renew (1) or enter (0)  4 it heals (1), which a draining gate waits for, or not (0)
-- Result 1 may write, 0 must not. A renewal is granted while a collection waits for us: it waits until we leave.
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. now_ms)
local inside = redis.call('ZSCORE', KEYS[2], ARGV[1])
if ARGV[3] == '1' then
  if not inside then return 0 end
elseif redis.call('EXISTS', KEYS[1], KEYS[3]) > 0 then
  if ARGV[4] ~= '1' or redis.call('HGET', KEYS[3], 'state') ~= 'draining' then return 0 end
end
redis.call('ZADD', KEYS[2], now_ms + tonumber(ARGV[2]), ARGV[1])
return 1
