-- Notes what was learnt of manifests: children and subjects; or that they are gone.
--
-- KEYS  1 links:R  2 generation
-- ARGV  1 repository  2 generation the look began with; then per manifest: digest, and one of
--       "child=<digest> … subject=<digest>" (may be empty), "gone" (counts only if nothing happened since), or
--       "?" (an index that was found inside another: nobody looked into it)
-- Result the number of entries that changed
local changes = 0
local undisturbed = (redis.call('HGET', KEYS[2], ARGV[1]) or '0') == ARGV[2]
for i = 3, #ARGV, 2 do
  local digest, learnt = ARGV[i], ARGV[i + 1]
  if learnt == 'gone' then
    if undisturbed then changes = changes + redis.call('HDEL', KEYS[1], digest) end
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
    local clock = redis.call('TIME')
    redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', clock[1] * 1000000 + clock[2]))
  end
  redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
end
return changes
