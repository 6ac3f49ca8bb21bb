-- Change the state of the gate for its holder: drain, claim or manifests (from open), close, keep (closed after the holder
-- ends), open, hold (manifests, from claiming, if no manifest was put since `seen_ms`). Opening releases all claims. The gate of
-- another holder is not touched.
--
-- KEYS  gate gate:opens gc:claimed pushing
-- ARGV  action  drain | claim | manifests | close | keep | open | hold
--       token
--       fence
--       reason
--       seen_ms  the holder knows every PUT before this time; 0: every PUT before it had the gate
-- Result 1 done, also if it was done before; 0 if another holder has the gate, (close, keep, hold) none has it, or (hold) a
--        manifest was put
-- include lib/clock
local holder = redis.call('HGET', all.gate, 'token')
if holder and holder ~= token then return 0 end
if not holder and (action == 'close' or action == 'keep' or action == 'hold') then return 0 end
local function was_put()
  -- 'more': not all pushes are known.
  local since_ms = math.max(tonumber(seen_ms), tonumber(redis.call('HGET', all.gate, 'since_ms')))
  -- The clock of Redis was set back, so that what was put since may have an earlier time.
  if now_ms < since_ms then return true end
  for _, sign in ipairs(redis.call('ZRANGEBYSCORE', all.pushing, string.format('%.0f', since_ms), '+inf')) do
    if string.sub(sign, -4) == ' put' or string.sub(sign, -5) == ' more' then return true end
  end
  return false
end
local states = {drain = 'draining', claim = 'claiming', manifests = 'manifests'}
if action == 'open' then
  redis.call('DEL', all.gate, all['gc:claimed'])
  redis.call('ZADD', all['gate:opens'], now_ms, token)
  redis.call('ZREMRANGEBYRANK', all['gate:opens'], 0, -1001)
elseif action == 'hold' then
  if redis.call('HGET', all.gate, 'state') ~= 'claiming' or was_put() then return 0 end
  redis.call('HSET', all.gate, 'state', 'manifests')
elseif action == 'close' then
  redis.call('HSET', all.gate, 'state', 'closed')
elseif action == 'keep' then
  redis.call('HSET', all.gate, 'kept', '1', 'reason', reason)
else
  redis.call('HSET', all.gate, 'state', states[action], 'token', token, 'fence', fence, 'reason', reason, 'since_ms', now_ms)
end
return 1
