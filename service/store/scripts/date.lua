-- Notes when images were made. That counts as the push of a tag whose push nobody saw and that still stands there; where
-- nothing believable is said, now does. Such a tag may be older than every other: it takes no slot from them.
--
-- KEYS  created:R tags:R live:R history:R events generation
-- ARGV  1 repository  2 history entries kept  3 events kept  4 images (count); per image: short digest, when (µs, 0 = its
--       config does not say); then per tag, 5 each: tag digest short when (µs, 0 = now) why
--       now, if it is

-- include bump
local clock = redis.call('TIME')
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
local at = 4 + 2 * tonumber(ARGV[4])
for i = 5, at, 2 do redis.call('HSET', r.created, ARGV[i], ARGV[i + 1]) end
local dated = 0
for i = at + 1, #ARGV, 5 do
  local tag, digest, short, created, why = unpack(ARGV, i, i + 4)
  local standing = redis.call('HGET', r.live, tag) or ''
  if tonumber(redis.call('ZSCORE', r.tags, tag) or 1) == 0 and string.sub(standing, 1, #short + 1) == short .. ' ' then
    local believed = tonumber(created) > 0 and tonumber(created) <= tonumber(now_us)
    redis.call('ZADD', r.tags, believed and created or now_us, tag)
    if not believed then
      -- A tag that was there before pushprune stays one.
      local before, actor = string.match(standing, '^(%S+ %S+) (.*)$')
      redis.call('HSET', r.live, tag, before .. ((actor == '?first' or actor == '?first?') and ' ?first?' or ' ?'))
    end
    local reason = believed and 'counts as pushed when the image was made, as its config says' or why
    local fields = {'action', 'dated', 'tag', tag, 'digest', digest, 'size', '0', 'actor', '', 'agent', '',
                    'address', '', 'at_us', believed and created or now_us, 'reason', reason, 'rule', '', 'media', ''}
    redis.call('XADD', r.history, 'MAXLEN', '~', ARGV[2], '*', unpack(fields))
    redis.call('XADD', all.events, 'MAXLEN', '~', ARGV[3], '*', 'repository', ARGV[1], unpack(fields))
    dated = dated + 1
  end
end
if dated > 0 then bump(ARGV[1]) end
