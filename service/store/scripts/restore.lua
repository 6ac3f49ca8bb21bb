-- Notes that a deletion was undone: the tag is live again with the time of its original push. Where it was pushed since
-- the undo began, that push wins: the tag is looked at, and put back where its user wants it.
--
-- KEYS  doomed:R doomed tags:R live:R voided:R heal:R history:R events generation due healing untagged:R deleted:R
--       links:R revisions:R counters manual:R manual_deleted:R own_puts:R
-- ARGV  1 repository  2 tag ('' = none)  3 digest  4 short digest  5 size  6 time of its push (µs)  7 who pushed it
--       8 what it references, as links:R has it ('' = an image)  9 history entries kept  10 events kept
--       11 resend after (ms)  12 look again after (ms)  13 who restored it  14 reason  15 the tag's time when the undo
--       began ('' = it was not live)  16 when the undo began (µs): what happened to the tag before is over; then the parts of an index, each with its short form
-- Result 1 noted, or noted before; 0 the tag was pushed meanwhile

-- include bump
local repository, tag, digest, short = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
local function again()
  bump(repository)
  redis.call('ZADD', all.due, 'LT', now_ms + tonumber(ARGV[11]), repository)
end

local standing, current = redis.call('HGET', r.live, tag), redis.call('ZSCORE', r.tags, tag)
local stood = standing and string.match(standing, '^%S+')
if tag ~= '' and current and tonumber(current) == tonumber(ARGV[6]) and stood == short and ARGV[15] ~= current then
  return 1
end
if tag ~= '' and (current and string.format('%.0f', current) or '') ~= ARGV[15] then
  redis.call('ZADD', r.heal, now_ms, tag)
  redis.call('ZADD', all.healing, 'LT', now_ms, repository)
  again()
  return 0
end
redis.call('HDEL', r.doomed, short)
if redis.call('HLEN', r.doomed) == 0 then redis.call('ZREM', all.doomed, repository) end
redis.call('ZREM', r.voided, '@' .. short)
redis.call('HDEL', r.untagged, short, digest)
redis.call('HDEL', r.deleted, '@' .. short)
redis.call('HDEL', r.manual, '@' .. short, tag)
redis.call('ZREM', r.manual_deleted, short)
for i = 17, #ARGV, 2 do
  redis.call('HDEL', r.untagged, ARGV[i], ARGV[i + 1])
  redis.call('HDEL', r.deleted, '@' .. ARGV[i + 1])
  redis.call('ZREM', r.voided, '@' .. ARGV[i + 1])
  redis.call('HDEL', r.manual, '@' .. ARGV[i + 1])
  redis.call('ZREM', r.manual_deleted, ARGV[i + 1])
end
if ARGV[8] ~= '' then redis.call('HSET', r.links, digest, ARGV[6] .. ' ' .. ARGV[8]) end
-- A deletion of the tag that is reported later did not meet the PUT of this restore: it may be forged.
local put = redis.call('HGET', r.own_puts, tag)
if put and string.match(put, '^%S+') == digest then redis.call('HSET', r.own_puts, tag, put .. ' restored') end
if tag == '' then
  redis.call('HSET', r.untagged, short, now_us .. ' ')
else
  -- Where somebody has pushed the same again since, that push is the later one.
  if not (stood == short and tonumber(current) > tonumber(ARGV[6])) then
    redis.call('ZADD', r.tags, ARGV[6], tag)
    redis.call('HSET', r.live, tag, short .. ' ' .. ARGV[5] .. '! ' .. ARGV[7])
  end
  redis.call('HDEL', r.deleted, tag .. ' ' .. short)
  if current and stood ~= short then
    -- What stood there until now has lost this tag, and is one of its revisions.
    -- The plan was made while it stood there: what goes because of that push may be kept now.
    redis.call('DEL', r.doomed)
    redis.call('ZREM', all.doomed, repository)
    redis.call('HSET', r.untagged, stood, now_us .. ' ' .. tag)
    local kept = {(tonumber(current) > 0 and string.format('%.0f', current) or now_us) .. ':' .. stood}
    for time, known in string.gmatch(redis.call('HGET', r.revisions, tag) or '', '(%d+):(%S+)') do
      if known ~= stood and known ~= short and #kept < 100 then kept[#kept + 1] = time .. ':' .. known end
    end
    redis.call('HSET', r.revisions, tag, table.concat(kept, ' '))
  end
  redis.call('ZADD', r.voided, 'GT', ARGV[16], tag)
  redis.call('ZREMRANGEBYRANK', r.voided, 0, -1001)
  redis.call('EXPIRE', r.voided, 86400)
  -- A DELETE of ours may still be on its way.
  redis.call('ZADD', r.heal, now_ms + tonumber(ARGV[12]), tag .. ' again')
  redis.call('ZADD', all.healing, 'LT', now_ms + tonumber(ARGV[12]), repository)
end
again()
redis.call('HINCRBY', all.counters, 'restored', 1)
local fields = {'action', 'restored', 'tag', tag, 'digest', digest, 'size', ARGV[5], 'actor', ARGV[13], 'agent', '',
                'address', '', 'at_us', now_us, 'reason', ARGV[14], 'rule', '', 'media', ''}
redis.call('XADD', r.history, 'MAXLEN', '~', ARGV[9], '*', unpack(fields))
redis.call('XADD', all.events, 'MAXLEN', '~', ARGV[10], '*', 'repository', repository, unpack(fields))
return 1
