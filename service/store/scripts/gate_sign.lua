-- A web process that serves the gate says that it can be reached, and which closed gate it knows of; it learns the state.
-- A closed gate that Redis has lost stands again: only who was seen to open it has opened it. Whoever knows another memory
-- than this one tells that Redis has lost everything.
--
-- KEYS  1 gates  2 gates:seen  3 gate  4 gate:opens  5 gate:memory  6 gate:forgot
-- ARGV  1 process  2 token of the closed gate it knows of, or ''  3 it obeys that one (1/0)  4 forgotten after (ms)
--       5 the memory that it knows, or ''  6 life of what Redis has forgotten (ms)  7 a name for a new memory
-- Result {state ('' = open), token, the gate it knows of was opened (1/0), memory}
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local process, knows = ARGV[1], ARGV[2]
for _, silent in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms - tonumber(ARGV[4]))) do
  redis.call('ZREM', KEYS[1], silent)
  redis.call('HDEL', KEYS[2], silent)
end
redis.call('ZADD', KEYS[1], now_ms, process)
if knows ~= '' and ARGV[3] == '1' then redis.call('HSET', KEYS[2], process, knows)
else redis.call('HDEL', KEYS[2], process) end

redis.call('SET', KEYS[5], ARGV[7], 'NX')
local memory = redis.call('GET', KEYS[5])
if ARGV[5] ~= '' and ARGV[5] ~= memory then redis.call('SET', KEYS[6], now_ms, 'PX', ARGV[6]) end

local standing = redis.call('HMGET', KEYS[3], 'state', 'token')
local was_opened = knows ~= '' and redis.call('ZSCORE', KEYS[4], knows)
if knows ~= '' and not was_opened then
  if not standing[2] then
    redis.call('HSET', KEYS[3], 'state', 'closed', 'token', knows, 'fence', '0', 'since_ms', now_ms,
               'reason', 'Redis had lost it')
  elseif standing[2] == knows then
    redis.call('HSET', KEYS[3], 'state', 'closed')
  end
  standing = redis.call('HMGET', KEYS[3], 'state', 'token')
end
return {standing[1] or '', standing[2] or '', was_opened and 1 or 0, memory}
