-- A web process that serves the gate says that it can be reached, and which closed gate it knows of; it learns the state.
-- A closed gate that Redis has lost stands again: only who was seen to open it has opened it. Whoever knows another memory
-- than this one tells that Redis has lost everything.
--
-- KEYS  gates gates:seen gate gate:opens gate:memory gate:forgot
-- ARGV  1 process  2 token of the closed gate it knows of, or ''  3 it obeys that one (1/0)  4 forgotten after (ms)
--       5 the memory that it knows, or ''  6 life of what Redis has forgotten (ms)  7 a name for a new memory
-- Result {state ('' = open), token, the gate it knows of was opened (1/0), memory}
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local process, knows = ARGV[1], ARGV[2]
for _, silent in ipairs(redis.call('ZRANGEBYSCORE', all.gates, '-inf', now_ms - tonumber(ARGV[4]))) do
  redis.call('ZREM', all.gates, silent)
  redis.call('HDEL', all['gates:seen'], silent)
end
redis.call('ZADD', all.gates, now_ms, process)
if knows ~= '' and ARGV[3] == '1' then redis.call('HSET', all['gates:seen'], process, knows)
else redis.call('HDEL', all['gates:seen'], process) end

redis.call('SET', all['gate:memory'], ARGV[7], 'NX')
local memory = redis.call('GET', all['gate:memory'])
if ARGV[5] ~= '' and ARGV[5] ~= memory then redis.call('SET', all['gate:forgot'], now_ms, 'PX', ARGV[6]) end

local standing = redis.call('HMGET', all.gate, 'state', 'token')
local was_opened = knows ~= '' and redis.call('ZSCORE', all['gate:opens'], knows)
if knows ~= '' and not was_opened then
  if not standing[2] then
    redis.call('HSET', all.gate, 'state', 'closed', 'token', knows, 'fence', '0', 'since_ms', now_ms,
               'reason', 'Redis had lost it')
  elseif standing[2] == knows then
    redis.call('HSET', all.gate, 'state', 'closed')
  end
  standing = redis.call('HMGET', all.gate, 'state', 'token')
end
return {standing[1] or '', standing[2] or '', was_opened and 1 or 0, memory}
