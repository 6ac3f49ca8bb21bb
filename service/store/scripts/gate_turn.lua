-- The holder of the gate turns it: drain (from open), close, keep (closed when he goes), open. Nobody else's gate is touched.
--
-- KEYS  gate gate:opens
-- ARGV  1 drain | close | keep | open  2 token  3 fence  4 reason
-- Result 1 done, also when it was done before; 0 somebody else holds it, or (close, keep) nobody does
local holder = redis.call('HGET', all.gate, 'token')
if holder and holder ~= ARGV[2] then return 0 end
if ARGV[1] == 'open' then
  local clock = redis.call('TIME')
  redis.call('DEL', all.gate)
  redis.call('ZADD', all['gate:opens'], clock[1] * 1000 + math.floor(clock[2] / 1000), ARGV[2])
  redis.call('ZREMRANGEBYRANK', all['gate:opens'], 0, -1001)
  return 1
end
if ARGV[1] == 'close' then
  if not holder then return 0 end
  redis.call('HSET', all.gate, 'state', 'closed')
  return 1
end
if ARGV[1] == 'keep' then
  if not holder then return 0 end
  redis.call('HSET', all.gate, 'kept', '1', 'reason', ARGV[4])
  return 1
end
local clock = redis.call('TIME')
redis.call('HSET', all.gate, 'state', 'draining', 'token', ARGV[2], 'fence', ARGV[3], 'reason', ARGV[4],
           'since_ms', clock[1] * 1000 + math.floor(clock[2] / 1000))
return 1
