-- Notes what was learnt of manifests: children and subjects; or that they are gone.
--
-- KEYS  links:R generation untagged:R layers:R due live:R
-- ARGV  1 repository  2 generation the look began with  3 resend after (ms); then per manifest: digest, and one of
--       "child=<digest> … subject=<digest>" (may be empty), "missing <short digest>" (counts only if nothing happened
--       since; its parts are untagged then, but do not follow it: that it is not seen proves nothing), or "?" (an index that was found inside another: nobody looked into it), or "found <short digest> <µs of its push> <what
--       it references>" (a referrer without a tag whose push was not reported)
-- Result the number of entries that changed

-- include bump
local changes = 0
local clock = redis.call('TIME')
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])

-- A tag that is known to point at this digest is looked at again, should the digest be back: what its manifest lists is
-- not known any more.
local function unprove(short)
  local tags = redis.call('HGETALL', r.live)
  for i = 1, #tags, 2 do
    local size, actor = string.match(tags[i + 1], '^%S+ (%d+)! (.*)$')
    if size and string.sub(tags[i + 1], 1, #short + 1) == short .. ' ' then
      redis.call('HSET', r.live, tags[i], short .. ' ' .. size .. ' ' .. actor)
    end
  end
end

local undisturbed = (redis.call('HGET', all.generation, ARGV[1]) or '0') == ARGV[2]
for i = 4, #ARGV, 2 do
  local digest, learnt = ARGV[i], ARGV[i + 1]
  if string.sub(learnt, 1, 8) == 'missing ' then
    if undisturbed then
      for child in string.gmatch(redis.call('HGET', r.links, digest) or '', 'child=(%S+)') do
        redis.call('HSET', r.untagged, child, now_us .. ' ')
        redis.call('ZADD', all.due, 'LT', clock[1] * 1000 + tonumber(ARGV[3]), ARGV[1])
      end
      changes = changes + redis.call('HDEL', r.links, digest)
      changes = changes + redis.call('HDEL', r.untagged, digest, string.sub(learnt, 9))
      redis.call('HDEL', r.layers, string.sub(learnt, 9))
      unprove(string.sub(learnt, 9))
    end
  elseif learnt == '?' then
    changes = changes + redis.call('HSETNX', r.links, digest, '0 ?')
  elseif string.sub(learnt, 1, 6) == 'found ' then
    local short, since, links = string.match(learnt, '^found (%S+) (%d+) (.*)$')
    if redis.call('HSETNX', r.links, digest, since .. ' ' .. links) == 1 then
      if redis.call('HLEN', r.untagged) < 10000 then redis.call('HSETNX', r.untagged, short, since .. ' ') end
      redis.call('ZADD', all.due, 'LT', clock[1] * 1000 + tonumber(ARGV[3]), ARGV[1])
      changes = changes + 1
    end
  else
    local known = redis.call('HGET', r.links, digest)
    local time = known and string.match(known, '^%d+') or '0'
    redis.call('HSET', r.links, digest, time .. ' ' .. learnt)
    changes = changes + 1
  end
end
if changes > 0 then
  bump(ARGV[1])
end
return changes
