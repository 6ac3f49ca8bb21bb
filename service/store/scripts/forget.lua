-- Notes that a doomed digest was deleted: its tags leave the live ones, with their reasons in the history.
-- A tag that was pushed meanwhile stays, and is to be healed: the DELETE may have taken it along.
--
-- KEYS  1 doomed:R  2 doomed (zset)  3 tags:R  4 live:R  5 pulled:R  6 gone:R  7 links:R  8 heal:R  9 history:R
--       10 events  11 generation  12 due  13 gc:deletes  14 gc:due  15 counters  16 healing  17 untagged:R
--       18 revisions:R  19 created:R  20 approvals:R  21 deleted:R  22 layers:R  23 trashed  24 gc:bytes  25 asked:R
--       26 byhand:R  27 taking:R
-- ARGV  1 repository  2 digest  3 short digest  4 history entries kept  5 events kept  6 collect after (deletes; 0 = never)
--       7 resend after (ms)  8 plan again (1: referrers may follow)  9 life of deleted:R (s)  10 JSON of what was doomed
--       11 collect after (bytes; 0 = never)  12 by hand (1: what follows it goes, whatever the policy says);
--       then per tag ('' where it had none): tag, time_us (-1: a part of an index, which comes back with it), reason,
--       rule, who deleted it; nothing where the history says already why it went
-- Result {1 noted or 0 was noted before, 1 when the repository became due again}
local repository, digest, short = ARGV[1], ARGV[2], ARGV[3]
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])

local resend = now_ms + tonumber(ARGV[7])
local function look_at(tag)
  redis.call('ZADD', KEYS[8], now_ms, tag)
  redis.call('ZADD', KEYS[16], 'LT', resend, repository)
end

-- The DELETE has ended: no need to look again later.
for i = 13, #ARGV, 5 do
  redis.call('ZREM', KEYS[8], ARGV[i] .. ' again')
  redis.call('HDEL', KEYS[27], ARGV[i])
end
if redis.call('ZCARD', KEYS[8]) == 0 then redis.call('ZREM', KEYS[16], repository) end

-- What was pushed before the DELETE was sent went with it; what was pushed later is not known to have.
local sent_us = redis.call('ZSCORE', KEYS[23], repository .. ' ' .. digest)
sent_us = sent_us and string.format('%.0f', sent_us) or now_us

local function all(key)
  local flat, found = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function is_wanted()
  if tonumber(redis.call('ZSCORE', KEYS[6], '@' .. short) or -1) >= tonumber(sent_us) then return true end
  for _, standing in pairs(all(KEYS[4])) do
    if string.sub(standing, 1, #short + 1) == short .. ' ' then return true end
  end
  return false
end

local function is_pushed_again()
  for tag, standing in pairs(all(KEYS[4])) do
    local at = string.sub(standing, 1, #short + 1) == short .. ' ' and redis.call('ZSCORE', KEYS[3], tag)
    if at and tonumber(at) > tonumber(sent_us) then return true end
  end
  return false
end

-- Rescued, planned anew or noted before, while the DELETE was on its way: looking at its tags is no harm. A plan that
-- was dropped for another reason, with nobody who wants the digest, leaves one to note that it is gone; and so does the
-- push that takes its last tag elsewhere before it is put back.
if redis.call('HGET', KEYS[1], short) ~= ARGV[10] and is_wanted() then
  local again, gone = 0, not is_pushed_again()
  for i = 13, #ARGV, 5 do
    if redis.call('HEXISTS', KEYS[4], ARGV[i]) == 1 then
      look_at(ARGV[i])
      again = 1
      if gone then redis.call('HSET', KEYS[27], ARGV[i], short .. ' gone') end
      redis.call('EXPIRE', KEYS[27], 86400)
    end
  end
  if again == 1 then
    redis.call('HINCRBY', KEYS[11], repository, 1)
    redis.call('ZADD', KEYS[12], 'NX', resend, repository)
  end
  return {0, again}
end
redis.call('HDEL', KEYS[1], short)
if redis.call('HLEN', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], repository) end

local function log(tag, size, reason, rule, actor)
  local fields = {'action', 'pruned', 'tag', tag, 'digest', digest, 'size', size, 'actor', actor, 'agent', '',
                  'address', '', 'at_us', now_us, 'reason', reason, 'rule', rule, 'media', ''}
  redis.call('HINCRBY', KEYS[15], 'rule ' .. rule, 1)
  redis.call('XADD', KEYS[9], 'MAXLEN', '~', ARGV[4], '*', unpack(fields))
  redis.call('XADD', KEYS[10], 'MAXLEN', '~', ARGV[5], '*', 'repository', repository, unpack(fields))
end

-- The parts of an index have lost what held them: from now on they are the matter of the rules of its tag.
local matter = ARGV[13] or ''
if matter == '' then matter = string.match(redis.call('HGET', KEYS[17], short) or '', ' (%S*)') or '' end
local function is_older(text) return text and tonumber(string.match(text, '^%d+')) <= tonumber(sent_us) end
local known, look_again = redis.call('HGET', KEYS[7], digest), ARGV[8] == '1'
if is_older(known) then
  for child in string.gmatch(known, 'child=(%S+)') do
    redis.call('HSET', KEYS[17], child, now_us .. ' ' .. matter .. ' part ' .. short)
  end
  redis.call('HDEL', KEYS[7], digest)
  look_again = true
end
-- A tag may have left it since: it went all the same where its last push under that tag came before the DELETE.
local function went(text)
  if not text or is_older(text) then return text end
  local tag = string.match(text, '^%d+ (%S+)')
  for time, known in string.gmatch(tag and redis.call('HGET', KEYS[18], tag) or '', '(%d+):(%S+)') do
    if known == short then return tonumber(time) <= tonumber(sent_us) end
  end
end
for _, form in ipairs({short, digest}) do
  if went(redis.call('HGET', KEYS[17], form)) then redis.call('HDEL', KEYS[17], form) end
end
redis.call('HDEL', KEYS[19], short)

-- What a collection frees by this: its blobs that no other known manifest of the repository has; where they are not
-- known, what its tags were said to take.
local function freed()
  local layers = redis.call('HGET', KEYS[22], short)
  local sum = 0
  if not layers then
    for i = 13, #ARGV, 5 do
      local size = string.match(redis.call('HGET', KEYS[4], ARGV[i]) or '', '^%S+ (%d+)')
      sum = math.max(sum, tonumber(size or '0'))
    end
    return sum
  end
  redis.call('HDEL', KEYS[22], short)
  local others = ' ' .. table.concat(redis.call('HVALS', KEYS[22]), ' ')
  for mark, size in string.gmatch(layers, '(%S+):(%S+)') do
    if not string.find(others, ' ' .. mark .. ':', 1, true) then sum = sum + tonumber(size, 36) end
  end
  return sum
end
local collect_after = tonumber(ARGV[11])
local freed_bytes = collect_after > 0 and freed() or 0
redis.call('HDEL', KEYS[22], short)
redis.call('ZREM', KEYS[20], digest)
redis.call('ZREM', KEYS[5], '@' .. short)
-- Referrers follow what is gone.
redis.call('ZADD', KEYS[6], 'GT', sent_us, '@' .. short)
redis.call('ZREMRANGEBYRANK', KEYS[6], 0, -1001)
redis.call('EXPIRE', KEYS[6], 86400)
for i = 13, #ARGV, 5 do
  local tag, time, reason, rule, actor = unpack(ARGV, i, i + 4)
  local standing = redis.call('HGET', KEYS[4], tag)
  local current = redis.call('ZSCORE', KEYS[3], tag)
  local stood = standing and string.sub(standing, 1, string.find(standing, ' ', 1, true) - 1)
  if tag == '' then
    if time ~= '-1' then redis.call('HSET', KEYS[21], '@' .. short, short .. ' ' .. time .. ' ' .. now_us .. ' 0 ' .. reason) end
    log('', '0', reason, rule, actor)
  elseif current and stood == short and tonumber(current) == tonumber(time) then
    local size = string.match(standing, '^%S+ (%d+)') or '0'
    redis.call('ZREM', KEYS[3], tag)
    redis.call('HDEL', KEYS[4], tag)
    redis.call('ZREM', KEYS[5], tag)
    redis.call('ZADD', KEYS[6], 'GT', time, tag)
    redis.call('HDEL', KEYS[18], tag)
    redis.call('HSET', KEYS[21], tag .. ' ' .. short, short .. ' ' .. time .. ' ' .. now_us .. ' ' .. size .. ' ' .. reason)
    log(tag, size, reason, rule, actor)
    redis.call('HDEL', KEYS[25], tag)
  elseif current then
    look_at(tag)
    look_again = true
  end
end
redis.call('EXPIRE', KEYS[21], ARGV[9])
redis.call('HINCRBY', KEYS[15], 'deleted', 1)
local deletes, threshold = redis.call('INCR', KEYS[13]), tonumber(ARGV[6])
if threshold > 0 and deletes >= threshold then
  redis.call('SET', KEYS[14], deletes .. ' digests deleted since the last collection', 'NX')
end
if collect_after > 0 then
  local bytes = redis.call('INCRBY', KEYS[24], string.format('%.0f', freed_bytes))
  if bytes >= collect_after then
    redis.call('SET', KEYS[14], string.format('%.1f MB deleted since the last collection', bytes / 1000000), 'NX')
  end
end
redis.call('HDEL', KEYS[25], '@' .. short)
redis.call('ZREM', KEYS[26], short)
if ARGV[12] == '1' then
  if look_again then redis.call('ZADD', KEYS[26], now_us, short) end
  redis.call('EXPIRE', KEYS[26], 86400)
  -- The policy has its turn.
  if redis.call('HLEN', KEYS[1]) == 0 then
    redis.call('ZADD', KEYS[12], 'LT', resend, repository)
    look_again = true
  end
end
if look_again then redis.call('ZADD', KEYS[12], 'NX', resend, repository) end
return {1, look_again and 1 or 0}
