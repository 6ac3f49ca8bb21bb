-- The holder of the gate turns it: drain (from open), close, keep (closed when he goes), open. Nobody else's gate is touched.
--
-- KEYS  1 gate  2 gate:opens
-- ARGV  1 drain | close | keep | open  2 token  3 fence  4 reason
-- Result 1 done, also when it was done before; 0 somebody else holds it, or (close, keep) nobody does
local holder = redis.call('HGET', KEYS[1], 'token')
if holder and holder ~= ARGV[2] then return 0 end
if ARGV[1] == 'open' then
  local clock = redis.call('TIME')
  redis.call('DEL', KEYS[1])
  redis.call('ZADD', KEYS[2], clock[1] * 1000 + math.floor(clock[2] / 1000), ARGV[2])
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1001)
  return 1
end
if ARGV[1] == 'close' then
  if not holder then return 0 end
  redis.call('HSET', KEYS[1], 'state', 'closed')
  return 1
end
if ARGV[1] == 'keep' then
  if not holder then return 0 end
  redis.call('HSET', KEYS[1], 'kept', '1', 'reason', ARGV[4])
  return 1
end
local clock = redis.call('TIME')
redis.call('HSET', KEYS[1], 'state', 'draining', 'token', ARGV[2], 'fence', ARGV[3], 'reason', ARGV[4],
           'since_ms', clock[1] * 1000 + math.floor(clock[2] / 1000))
return 1
