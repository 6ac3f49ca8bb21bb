-- Notes that a deletion was undone: the tag is live again with the time of its original push. Where it was pushed since
-- the undo began, that push wins: the tag is looked at, and put back where its user wants it.
--
-- KEYS  1 doomed:R  2 doomed (zset)  3 tags:R  4 live:R  5 gone:R  6 heal:R  7 history:R  8 events  9 generation  10 due
--       11 healing  12 untagged:R  13 deleted:R  14 links:R  15 revisions:R  16 counters  17 asked:R  18 byhand:R
-- ARGV  1 repository  2 tag ('' = none)  3 digest  4 short digest  5 size  6 time of its push (µs)  7 who pushed it
--       8 what it references, as links:R has it ('' = an image)  9 history entries kept  10 events kept
--       11 resend after (ms)  12 look again after (ms)  13 who restored it  14 reason  15 the tag's time when the undo
--       began ('' = it was not live)  16 when the undo began (µs): what happened to the tag before is over; then the parts of an index, each with its short form
-- Result 1 noted, or noted before; 0 the tag was pushed meanwhile
local repository, tag, digest, short = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
local function again()
  if redis.call('HEXISTS', KEYS[9], repository) == 0 then redis.call('HSET', KEYS[9], repository, now_us) end
  redis.call('HINCRBY', KEYS[9], repository, 1)
  redis.call('ZADD', KEYS[10], 'NX', now_ms + tonumber(ARGV[11]), repository)
end

local standing, current = redis.call('HGET', KEYS[4], tag), redis.call('ZSCORE', KEYS[3], tag)
local stood = standing and string.match(standing, '^%S+')
if tag ~= '' and current and tonumber(current) == tonumber(ARGV[6]) and stood == short and ARGV[15] ~= current then
  return 1
end
if tag ~= '' and (current and string.format('%.0f', current) or '') ~= ARGV[15] then
  redis.call('ZADD', KEYS[6], now_ms, tag)
  redis.call('ZADD', KEYS[11], 'LT', now_ms, repository)
  again()
  return 0
end
redis.call('HDEL', KEYS[1], short)
if redis.call('HLEN', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], repository) end
redis.call('ZREM', KEYS[5], '@' .. short)
redis.call('HDEL', KEYS[12], short, digest)
redis.call('HDEL', KEYS[13], '@' .. short)
redis.call('HDEL', KEYS[17], '@' .. short, tag)
redis.call('ZREM', KEYS[18], short)
for i = 17, #ARGV, 2 do
  redis.call('HDEL', KEYS[12], ARGV[i], ARGV[i + 1])
  redis.call('HDEL', KEYS[13], '@' .. ARGV[i + 1])
  redis.call('ZREM', KEYS[5], '@' .. ARGV[i + 1])
  redis.call('HDEL', KEYS[17], '@' .. ARGV[i + 1])
  redis.call('ZREM', KEYS[18], ARGV[i + 1])
end
if ARGV[8] ~= '' then redis.call('HSET', KEYS[14], digest, ARGV[6] .. ' ' .. ARGV[8]) end
if tag == '' then
  redis.call('HSET', KEYS[12], short, now_us .. ' ')
else
  -- Where somebody has pushed the same again since, that push is the later one.
  if not (stood == short and tonumber(current) > tonumber(ARGV[6])) then
    redis.call('ZADD', KEYS[3], ARGV[6], tag)
    redis.call('HSET', KEYS[4], tag, short .. ' ' .. ARGV[5] .. ' ' .. ARGV[7])
  end
  redis.call('HDEL', KEYS[13], tag .. ' ' .. short)
  if current and stood ~= short then
    -- What stood there until now has lost this tag, and is one of its revisions.
    -- The plan was made while it stood there: what goes because of that push may be kept now.
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[2], repository)
    redis.call('HSET', KEYS[12], stood, now_us .. ' ' .. tag)
    local kept = {(tonumber(current) > 0 and string.format('%.0f', current) or now_us) .. ':' .. stood}
    for time, known in string.gmatch(redis.call('HGET', KEYS[15], tag) or '', '(%d+):(%S+)') do
      if known ~= stood and known ~= short and #kept < 100 then kept[#kept + 1] = time .. ':' .. known end
    end
    redis.call('HSET', KEYS[15], tag, table.concat(kept, ' '))
  end
  redis.call('ZADD', KEYS[5], 'GT', ARGV[16], tag)
  redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -1001)
  redis.call('EXPIRE', KEYS[5], 86400)
  -- A DELETE of ours may still be on its way.
  redis.call('ZADD', KEYS[6], now_ms + tonumber(ARGV[12]), tag .. ' again')
  redis.call('ZADD', KEYS[11], 'LT', now_ms + tonumber(ARGV[12]), repository)
end
again()
redis.call('HINCRBY', KEYS[16], 'restored', 1)
local fields = {'action', 'restored', 'tag', tag, 'digest', digest, 'size', ARGV[5], 'actor', ARGV[13], 'agent', '',
                'address', '', 'at_us', now_us, 'reason', ARGV[14], 'rule', '', 'media', ''}
redis.call('XADD', KEYS[7], 'MAXLEN', '~', ARGV[9], '*', unpack(fields))
redis.call('XADD', KEYS[8], 'MAXLEN', '~', ARGV[10], '*', 'repository', repository, unpack(fields))
return 1
