-- Note that a gate process is alive and which closed gate it knows; return the state of the gate. A closed gate that Redis
-- has lost is closed again: only an opening that is noted has opened it. A process that knows another memory than this one
-- proves that Redis has lost everything.
--
-- A claiming gate that Redis has lost is closed: the claims are lost with it.
--
-- KEYS  gates gates:seen gate gate:opens gate:memory gate:forgot gc:noting
-- ARGV  process
--       knows         token of the closed or claiming gate that it knows, or ''
--       knows_closed  1 if that gate is closed
--       obeys         1 if all requests that it admitted before are answered
--       forgotten_ms  a process that is silent for this long is forgotten
--       memory        the memory that it knows, or ''
--       life_ms       of the note that Redis lost everything
--       new_memory    a name for a new memory
-- Result {state, '' = open; token; 1 if the gate that it knows was opened; memory}
-- include lib/clock
for _, silent in ipairs(redis.call('ZRANGEBYSCORE', all.gates, '-inf', now_ms - forgotten_ms)) do
  redis.call('ZREM', all.gates, silent)
  redis.call('HDEL', all['gates:seen'], silent)
end
redis.call('ZADD', all.gates, now_ms, process)
if knows ~= '' and obeys == '1' then redis.call('HSET', all['gates:seen'], process, knows)
else redis.call('HDEL', all['gates:seen'], process) end

redis.call('SET', all['gate:memory'], new_memory, 'NX')
redis.call('SET', all['gc:noting'], now_ms, 'NX')
local current = redis.call('GET', all['gate:memory'])
if memory ~= '' and memory ~= current then redis.call('SET', all['gate:forgot'], now_ms, 'PX', life_ms) end

local held = redis.call('HMGET', all.gate, 'state', 'token')
local was_opened = knows ~= '' and redis.call('ZSCORE', all['gate:opens'], knows)
if knows ~= '' and not was_opened then
  if not held[2] then
    redis.call('HSET', all.gate, 'state', 'closed', 'token', knows, 'fence', '0', 'since_ms', now_ms,
               'reason', 'Redis had lost it')
  elseif held[2] == knows and knows_closed == '1' then
    redis.call('HSET', all.gate, 'state', 'closed')
  end
  held = redis.call('HMGET', all.gate, 'state', 'token')
end
return {held[1] or '', held[2] or '', was_opened and 1 or 0, current}
