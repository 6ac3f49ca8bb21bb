-- Find out if the registry has reported every PUT of a manifest that the gate let pass since a time. Then each of them has
-- reached the registry, which has written its manifest.
--
-- A refused PUT is never reported, and neither is one that an earlier version of the gate process let pass.
--
-- KEYS  gate pushing manifest_puts
-- ARGV  since_ms  0: since the holder of the gate has it
-- Result the time (ms) if each was reported, 0 if one was not
-- include lib/clock
if since_ms == '0' then since_ms = redis.call('HGET', all.gate, 'since_ms') or '-inf' end
if redis.call('ZSCORE', all.manifest_puts, '* * * *') then return 0 end
local last = {}
local puts = redis.call('ZRANGEBYSCORE', all.manifest_puts, since_ms, '+inf', 'WITHSCORES')
for i = 1, #puts, 2 do
  local pusher, note = string.match(puts[i], '^(%S+ %S+) (.+)$')
  if note ~= '0' then return 0 end
  last[pusher] = tonumber(puts[i + 1])
end
local signs = redis.call('ZRANGEBYSCORE', all.pushing, since_ms, '+inf', 'WITHSCORES')
for i = 1, #signs, 2 do
  local pusher, what = string.match(signs[i], '^(%S+ %S+) (%S+)$')
  if what == 'more' or (what == 'put' and last[pusher] ~= tonumber(signs[i + 1])) then return 0 end
end
return now_ms
