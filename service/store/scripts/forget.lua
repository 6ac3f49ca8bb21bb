-- Notes that a doomed digest was deleted: its tags leave the live ones, with their reasons in the history.
-- A tag that was pushed meanwhile stays, and is to be healed: the DELETE may have taken it along.
--
-- KEYS  doomed:R doomed tags:R live:R pulled:R voided:R links:R heal:R history:R events generation due gc:deletes
--       gc:due counters healing untagged:R revisions:R created:R approvals:R deleted:R layers:R trashed gc:bytes
--       manual:R manual_deleted:R untagging:R trash:R
-- ARGV  1 repository  2 digest  3 short digest  4 history entries kept  5 events kept  6 collect after (deletes; 0 = never)
--       7 resend after (ms)  8 plan again (1: referrers may follow)  9 life of deleted:R (s)  10 JSON of what was doomed
--       11 collect after (bytes; 0 = never)  12 by hand (1: what follows it goes, whatever the policy says)
--       13 generation of the snapshot that the deletion was made from  14 ' tag tag ': those that are still listed;
--       then per tag ('' where it had none): tag, time_us ("part <index>": a part of an index that is gone), reason,
--       rule, who deleted it; nothing where the history says already why it went
-- Result {1 noted or 0 was noted before, 1 if the repository became due by this}

-- include bump
local repository, digest, short = ARGV[1], ARGV[2], ARGV[3]
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])

local resend = now_ms + tonumber(ARGV[7])
local function look_at(tag)
  redis.call('ZADD', r.heal, now_ms, tag)
  redis.call('ZADD', all.healing, 'LT', resend, repository)
end

-- The DELETE has ended: no need to look again later.
for i = 15, #ARGV, 5 do
  redis.call('ZREM', r.heal, ARGV[i] .. ' again')
  redis.call('HDEL', r.untagging, ARGV[i])
end
if redis.call('ZCARD', r.heal) == 0 then redis.call('ZREM', all.healing, repository) end

-- What was pushed before the DELETE was sent went with it; what was pushed later is not known to have.
local sent_us = redis.call('ZSCORE', all.trashed, repository .. ' ' .. digest)
sent_us = sent_us and string.format('%.0f', sent_us) or now_us

local function entries(key)
  local flat, found = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function is_wanted()
  if tonumber(redis.call('ZSCORE', r.voided, '@' .. short) or -1) >= tonumber(sent_us) then return true end
  for _, standing in pairs(entries(r.live)) do
    if string.sub(standing, 1, #short + 1) == short .. ' ' then return true end
  end
  return false
end

local function is_pushed_again()
  for tag, standing in pairs(entries(r.live)) do
    local at = string.sub(standing, 1, #short + 1) == short .. ' ' and redis.call('ZSCORE', r.tags, tag)
    if at and tonumber(at) > tonumber(sent_us) then return true end
  end
  return false
end

-- Rescued, planned anew or noted before, while the DELETE was on its way: looking at its tags is no harm. A plan that
-- was dropped for another reason, with nobody who wants the digest, leaves one to note that it is gone; and so does the
-- push that takes its last tag elsewhere before it is put back.
if redis.call('HGET', r.doomed, short) ~= ARGV[10] and is_wanted() then
  local again, gone = 0, not is_pushed_again()
  for i = 15, #ARGV, 5 do
    if redis.call('HEXISTS', r.live, ARGV[i]) == 1 then
      look_at(ARGV[i])
      again = 1
      if gone then redis.call('HSET', r.untagging, ARGV[i], short .. ' deleted') end
      redis.call('EXPIRE', r.untagging, 86400)
    end
  end
  if again == 1 then
    bump(repository)
    redis.call('ZADD', all.due, 'LT', resend, repository)
  end
  return {0, again}
end
redis.call('HDEL', r.doomed, short)
if redis.call('HLEN', r.doomed) == 0 then redis.call('ZREM', all.doomed, repository) end

-- A plan from before the deletion may have doomed it once more: then nothing of it is known any more, and it is neither
-- logged nor counted again.
local function is_known()
  if redis.call('HEXISTS', r.untagged, short) == 1 or redis.call('HEXISTS', r.untagged, digest) == 1 then return true end
  for i = 15, #ARGV, 5 do
    if redis.call('HEXISTS', r.live, ARGV[i]) == 1 then return true end
  end
  return false
end
local is_first = is_known()

local function log(tag, size, reason, rule, actor)
  local action = tag ~= '' and string.find(ARGV[14], ' ' .. tag .. ' ', 1, true) and 'still listed' or 'pruned'
  local fields = {'action', action, 'tag', tag, 'digest', digest, 'size', size, 'actor', actor, 'agent', '',
                  'address', '', 'at_us', now_us, 'reason', reason, 'rule', rule, 'media', ''}
  redis.call('HINCRBY', all.counters, 'rule ' .. rule, 1)
  redis.call('XADD', r.history, 'MAXLEN', '~', ARGV[4], '*', unpack(fields))
  redis.call('XADD', all.events, 'MAXLEN', '~', ARGV[5], '*', 'repository', repository, unpack(fields))
end

-- The parts of an index have lost what held them: from now on they are the matter of the rules of its tag.
local matter = ARGV[15] or ''
if matter == '' then matter = string.match(redis.call('HGET', r.untagged, short) or '', ' (%S*)') or '' end
local function is_older(text) return text and tonumber(string.match(text, '^%d+')) <= tonumber(sent_us) end
local known, look_again = redis.call('HGET', r.links, digest), ARGV[8] == '1'
if is_older(known) then
  for child in string.gmatch(known, 'child=(%S+)') do
    redis.call('HSET', r.untagged, child, now_us .. ' ' .. matter .. ' part ' .. short)
  end
  redis.call('HDEL', r.links, digest)
  look_again = true
end
-- A tag may have left it since: it went all the same where its last push under that tag came before the DELETE.
local function went(text)
  if not text or is_older(text) then return text end
  local tag = string.match(text, '^%d+ (%S+)')
  for time, known in string.gmatch(tag and redis.call('HGET', r.revisions, tag) or '', '(%d+):(%S+)') do
    if known == short then return tonumber(time) <= tonumber(sent_us) end
  end
end
for _, form in ipairs({short, digest}) do
  if went(redis.call('HGET', r.untagged, form)) then redis.call('HDEL', r.untagged, form) end
end
redis.call('HDEL', r.created, short)

-- What a collection frees by this: its blobs that no other known manifest of the repository has; where they are not
-- known, what its tags were said to take.
local function freed()
  local layers = redis.call('HGET', r.layers, short)
  local sum = 0
  if not layers then
    for i = 15, #ARGV, 5 do
      local size = string.match(redis.call('HGET', r.live, ARGV[i]) or '', '^%S+ (%d+)')
      sum = math.max(sum, tonumber(size or '0'))
    end
    return sum
  end
  redis.call('HDEL', r.layers, short)
  local others = ' ' .. table.concat(redis.call('HVALS', r.layers), ' ')
  for mark, size in string.gmatch(layers, '(%S+):(%S+)') do
    if not string.find(others, ' ' .. mark .. ':', 1, true) then sum = sum + tonumber(size, 36) end
  end
  return sum
end
local collect_after = tonumber(ARGV[11])
local freed_bytes = collect_after > 0 and freed() or 0
redis.call('HDEL', r.layers, short)
redis.call('ZREM', r.approvals, digest)
redis.call('ZREM', r.pulled, '@' .. short)
-- Referrers follow what is gone.
redis.call('ZADD', r.voided, 'GT', sent_us, '@' .. short)
redis.call('ZREMRANGEBYRANK', r.voided, 0, -1001)
redis.call('EXPIRE', r.voided, 86400)
for i = 15, #ARGV, 5 do
  local tag, time, reason, rule, actor = unpack(ARGV, i, i + 4)
  local standing = redis.call('HGET', r.live, tag)
  local current = redis.call('ZSCORE', r.tags, tag)
  local stood = standing and string.sub(standing, 1, string.find(standing, ' ', 1, true) - 1)
  if tag == '' then
    -- A part comes back with its index, unless that was deleted by somebody else: then it is restored by itself.
    local index = string.match(time, '^part (%S+)')
    if not index or redis.call('HEXISTS', r.trash, index) == 0 then
      redis.call('HSET', r.deleted, '@' .. short, short .. ' ' .. (index and '0' or time) .. ' ' .. now_us .. ' 0 ' .. reason)
    end
    if is_first then log('', '0', reason, rule, actor) end
  elseif current and stood == short and tonumber(current) == tonumber(time) then
    local size = string.match(standing, '^%S+ (%d+)') or '0'
    redis.call('ZREM', r.tags, tag)
    redis.call('HDEL', r.live, tag)
    redis.call('ZREM', r.pulled, tag)
    redis.call('ZADD', r.voided, 'GT', time, tag)
    redis.call('HDEL', r.revisions, tag)
    redis.call('HSET', r.deleted, tag .. ' ' .. short, short .. ' ' .. time .. ' ' .. now_us .. ' ' .. size .. ' ' .. reason)
    log(tag, size, reason, rule, actor)
    redis.call('HDEL', r.manual, tag)
  elseif current then
    look_at(tag)
    look_again = true
  end
end
redis.call('EXPIRE', r.deleted, ARGV[9])
local count = is_first and 1 or 0
redis.call('HINCRBY', all.counters, 'deleted', count)
local deletes, threshold = redis.call('INCRBY', all['gc:deletes'], count), tonumber(ARGV[6])
if threshold > 0 and deletes >= threshold then
  redis.call('SET', all['gc:due'], deletes .. ' digests deleted since the last collection', 'NX')
end
if collect_after > 0 then
  local bytes = redis.call('INCRBY', all['gc:bytes'], string.format('%.0f', freed_bytes))
  if bytes >= collect_after then
    redis.call('SET', all['gc:due'], string.format('%.1f MB deleted since the last collection', bytes / 1000000), 'NX')
  end
end
redis.call('HDEL', r.manual, '@' .. short)
redis.call('ZREM', r.manual_deleted, short)
if ARGV[12] == '1' then
  if look_again then redis.call('ZADD', r.manual_deleted, now_us, short) end
  redis.call('EXPIRE', r.manual_deleted, 86400)
  -- The policy has its turn.
  if redis.call('HLEN', r.doomed) == 0 then
    look_again = true
  end
end
local newly = 0
-- A referrer may have been pushed, and planned while its image existed, since that snapshot.
if redis.call('HGET', all.generation, repository) ~= ARGV[13] then look_again = true end
if look_again then
  -- The commit of a plan that was made before this would drop the parts and the due entry: it must not commit.
  bump(repository)
  newly = redis.call('ZADD', all.due, 'LT', 'CH', resend, repository)
end
return {1, newly}
