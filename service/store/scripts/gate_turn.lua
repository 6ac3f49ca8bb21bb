-- Change the state of the gate for its holder: drain, claim or manifests (from open), close, keep (closed after the holder
-- ends), open. Opening releases all claims. The gate of another holder is not touched.
--
-- KEYS  gate gate:opens gc:claimed
-- ARGV  action  drain | claim | manifests | close | keep | open
--       token
--       fence
--       reason
-- Result 1 done, also if it was done before; 0 if another holder has the gate, or (close, keep) none has it
-- include lib/clock
local holder = redis.call('HGET', all.gate, 'token')
if holder and holder ~= token then return 0 end
if not holder and (action == 'close' or action == 'keep') then return 0 end
local states = {drain = 'draining', claim = 'claiming', manifests = 'manifests'}
if action == 'open' then
  redis.call('DEL', all.gate, all['gc:claimed'])
  redis.call('ZADD', all['gate:opens'], now_ms, token)
  redis.call('ZREMRANGEBYRANK', all['gate:opens'], 0, -1001)
elseif action == 'close' then
  redis.call('HSET', all.gate, 'state', 'closed')
elseif action == 'keep' then
  redis.call('HSET', all.gate, 'kept', '1', 'reason', reason)
else
  redis.call('HSET', all.gate, 'state', states[action], 'token', token, 'fence', fence, 'reason', reason, 'since_ms', now_ms)
end
return 1
