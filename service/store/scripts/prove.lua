-- Notes that a worker has seen the manifests that tags point at, and when their links in the storage were written. An
-- index that an event called an image is known as an index from then on. A push that was reported with a later time than
-- its link has is dated by the link: nobody can forge that by an event.
--
-- KEYS  live:R tags:R links:R history:R events generation due
-- ARGV  1 repository  2 history entries kept  3 events kept  4 resend after (ms); then per tag: tag, digest, short digest,
--       index (0|1), time it has (µs), time of its link (µs; '' = its time is right)
-- Result the number of tags of which something else is known now

-- include bump
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function log(tag, digest, link_us)
  local reason = 'its push was reported with a later time than its link in the storage has, which counts'
  local fields = {'action', 'dated', 'tag', tag, 'digest', digest, 'size', '0', 'actor', '', 'agent', '',
                  'address', '', 'at_us', link_us, 'reason', reason, 'rule', '', 'media', ''}
  redis.call('XADD', r.history, 'MAXLEN', '~', ARGV[2], '*', unpack(fields))
  redis.call('XADD', all.events, 'MAXLEN', '~', ARGV[3], '*', 'repository', ARGV[1], unpack(fields))
end

local changes = 0
for i = 5, #ARGV, 6 do
  local tag, digest, short, index, time_us, link_us = unpack(ARGV, i, i + 5)
  local live = redis.call('HGET', r.live, tag) or ''
  local known, size, actor = string.match(live, '^(%S+) (%d+)!? (.*)$')
  local score = redis.call('ZSCORE', r.tags, tag)
  -- A push that was heard since the look is for the next look.
  if known == short and score and tonumber(score) == tonumber(time_us) then
    redis.call('HSET', r.live, tag, short .. ' ' .. size .. '! ' .. actor)
    local changed = 0
    if index == '1' then changed = redis.call('HSETNX', r.links, digest, '0 ?') end
    if link_us ~= '' then
      redis.call('ZADD', r.tags, link_us, tag)
      log(tag, digest, link_us)
      changed = 1
    end
    changes = changes + changed
  end
end
if changes > 0 then
  bump(ARGV[1])
  redis.call('ZADD', all.due, 'NX', now_ms + tonumber(ARGV[4]), ARGV[1])
end
return changes
