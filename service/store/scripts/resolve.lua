-- Notes what was learnt of manifests: children and subjects; or that they are gone.
--
-- KEYS  1 links:R  2 generation  3 untagged:R  4 layers:R
-- ARGV  1 repository  2 generation the look began with; then per manifest: digest, and one of
--       "child=<digest> … subject=<digest>" (may be empty), "gone <short digest>" (counts only if nothing happened
--       since; its parts are untagged then, but do not follow it: that it is not seen proves nothing), or "?" (an index that was found inside another: nobody looked into it)
-- Result the number of entries that changed
local changes = 0
local clock = redis.call('TIME')
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
local undisturbed = (redis.call('HGET', KEYS[2], ARGV[1]) or '0') == ARGV[2]
for i = 3, #ARGV, 2 do
  local digest, learnt = ARGV[i], ARGV[i + 1]
  if string.sub(learnt, 1, 5) == 'gone ' then
    if undisturbed then
      for child in string.gmatch(redis.call('HGET', KEYS[1], digest) or '', 'child=(%S+)') do
        redis.call('HSET', KEYS[3], child, now_us .. ' ')
      end
      changes = changes + redis.call('HDEL', KEYS[1], digest)
      changes = changes + redis.call('HDEL', KEYS[3], digest, string.sub(learnt, 6))
      redis.call('HDEL', KEYS[4], string.sub(learnt, 6))
    end
  elseif learnt == '?' then
    changes = changes + redis.call('HSETNX', KEYS[1], digest, '0 ?')
  else
    local known = redis.call('HGET', KEYS[1], digest)
    local time = known and string.match(known, '^%d+') or '0'
    redis.call('HSET', KEYS[1], digest, time .. ' ' .. learnt)
    changes = changes + 1
  end
end
if changes > 0 then
  if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then
    redis.call('HSET', KEYS[2], ARGV[1], now_us)
  end
  redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
end
return changes
