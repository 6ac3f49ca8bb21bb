-- Takes over what a look at the registry found. A tag that was pushed or deleted since the look began is left alone:
-- what the event said is newer. A vanished tag that is doomed is left to the deletion, which knows why it went. That a
-- tag is not seen proves nothing about its manifest (a storage may be away for a moment): it is not untagged by that,
-- and what the tag pointed at before stays its history.
--
-- KEYS  tags:R live:R pulled:R links:R history:R events generation compared doomed:R doomed due untagged:R
--       revisions:R heal:R manual:R manual_deleted:R untagging:R unapproved troubles unseen
-- ARGV  1 repository  2 epoch to note as compared in ('' = do not)  3 history entries kept  4 events kept
--       5 keep the plan (1: all that vanished was doomed itself)  6 lost (1: nothing is left that could be put
--       back)  7 tags to adopt (count); per tag, 10 each: tag digest short size time_us index(0|1) time_us before ('' = unknown)
--       what says when it was pushed ('' = nothing) actor (as live:R says it) media; then per tag that is no longer there, 2 each: tag, time_us before
-- Result the number of tags that changed

-- include bump
local repository = ARGV[1]
local clock = redis.call('TIME')
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])

local function log(action, tag, digest, size, reason, media)
  local fields = {'action', action, 'tag', tag, 'digest', digest, 'size', size, 'actor', '', 'agent', '',
                  'address', '', 'at_us', now_us, 'reason', reason, 'rule', '', 'media', media}
  redis.call('XADD', r.history, 'MAXLEN', '~', ARGV[3], '*', unpack(fields))
  redis.call('XADD', all.events, 'MAXLEN', '~', ARGV[4], '*', 'repository', repository, unpack(fields))
end

local function stood_at(tag)
  local standing = redis.call('HGET', r.live, tag)
  return standing and string.sub(standing, 1, string.find(standing, ' ', 1, true) - 1)
end

-- As record does: what is still to go, and was being taken off the tag, goes all the same.
local function untag(short, tag)
  local begun = redis.call('HGET', r.untagging, tag) == short and redis.call('HEXISTS', r.doomed, short) == 1
  redis.call('HSET', r.untagged, short, now_us .. ' ' .. tag .. (begun and ' started' or ''))
end

-- As record does: the newest first, each digest once, without the one that stands there now.
local function overwritten(tag, old, new)
  local pushed = tonumber(redis.call('ZSCORE', r.tags, tag) or 0)
  local kept = {(pushed > 0 and string.format('%.0f', pushed) or now_us) .. ':' .. old}
  for time, known in string.gmatch(redis.call('HGET', r.revisions, tag) or '', '(%d+):(%S+)') do
    if known ~= old and known ~= new and #kept < 100 then kept[#kept + 1] = time .. ':' .. known end
  end
  redis.call('HSET', r.revisions, tag, table.concat(kept, ' '))
end

local function unchanged(tag, before)
  local score = redis.call('ZSCORE', r.tags, tag)
  if not score then return before == '' end
  return before ~= '' and tonumber(score) == tonumber(before)
end

-- Tags that the first look at a repository finds were there before pushprune: nobody has seen yet what a policy makes
-- of them, so that the first plan that deletes any of them waits for an approval.
local first = redis.call('HEXISTS', all.compared, repository) == 0

local changes, at = 0, 7
for _ = 1, tonumber(ARGV[7]) do
  local tag, digest, short, size, time, index, before, how, actor, media = unpack(ARGV, at + 1, at + 10)
  at = at + 10
  if unchanged(tag, before) then
    if first and before == '' then redis.call('HSETNX', all.unapproved, repository, now_us .. ' first') end
    local old = stood_at(tag)
    if old and old ~= short then
      untag(old, tag)
      overwritten(tag, old, short)
    end
    redis.call('HDEL', r.untagged, short, digest)
    redis.call('HDEL', r.manual, '@' .. short)
    redis.call('ZREM', r.manual_deleted, short)
    redis.call('ZADD', r.tags, time, tag)
    redis.call('HSET', r.live, tag, short .. ' ' .. size .. '! ' .. actor)
    if index == '1' then redis.call('HSETNX', r.links, digest, time .. ' ?') end
    log('adopted', tag, digest, size, 'found at the registry; its push was not seen' .. (how ~= '' and '; ' .. how or ''),
        media)
    changes = changes + 1
  end
end
for i = at + 1, #ARGV, 2 do
  local short = stood_at(ARGV[i])
  local ours = short and redis.call('HEXISTS', r.doomed, short) == 1
  -- What a delete of ours may have taken along is lost, not vanished: it is looked at, and put back.
  if ARGV[6] ~= '1' then
    ours = ours or redis.call('ZSCORE', r.heal, ARGV[i]) or redis.call('ZSCORE', r.heal, ARGV[i] .. ' again')
    -- A tag that could not be restored stays known, until the policy deletes it.
    if ARGV[5] ~= '1' then ours = ours or redis.call('HEXISTS', all.troubles, 'lost ' .. repository .. ':' .. ARGV[i]) == 1 end
  end
  if unchanged(ARGV[i], ARGV[i + 1]) and ARGV[i + 1] ~= '' and not ours then
    redis.call('ZREM', r.tags, ARGV[i])
    redis.call('HDEL', r.live, ARGV[i])
    redis.call('ZREM', r.pulled, ARGV[i])
    log('vanished', ARGV[i], '', '0', 'no longer at the registry; its deletion was not seen', '')
    changes = changes + 1
  end
end
if changes > 0 then
  if ARGV[5] ~= '1' then
    redis.call('DEL', r.doomed)
    redis.call('ZREM', all.doomed, repository)
  end
  redis.call('ZADD', all.due, 'LT', math.floor(tonumber(now_us) / 1000) + 2000, repository)
  bump(repository)
end
-- Without a tag at the registry it is only heard of.
if ARGV[2] ~= '' and redis.call('ZCARD', r.tags) > 0 then redis.call('ZREM', all.unseen, repository) end
-- A registry lists emptied repositories for ever: of those that nothing is known of, nothing is noted.
if ARGV[2] ~= '' and redis.call('HEXISTS', all.generation, repository) == 1 then
  redis.call('HSET', all.compared, repository, ARGV[2] .. ' ' .. now_us)
end
return changes
