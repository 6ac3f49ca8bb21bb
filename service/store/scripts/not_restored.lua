-- Notes that a tag, or a part of an index, which a delete of ours took along could not be restored, and why. What the
-- registry refuses only now is tried again later, and can be restored by hand; a final refusal is an entry of the history.
--
-- KEYS  heal:R healing history:R events counters untagging:R deleted:R troubles live:R tags:R
-- ARGV  1 repository  2 member of heal:R  3 tag or digest of an index  4 digest  5 short digest  6 history entries kept
--       7 events kept  8 time of the member when the look began  9 the trouble's name  10 message, as JSON text
--       11 reason in the history  12 reason in deleted:R  13 final (1) or tried again (0)  14 first wait (ms)
--       15 longest wait (ms)  16 life of deleted:R (s)  17 the beginning of every final message
-- Result 1 where that was not known before, else 0
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
local repository, member, name, digest, short = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local final = ARGV[13] == '1'
local known = redis.call('HGET', r.deleted, name .. ' ' .. short)

-- The trouble keeps the time at which it began.
local trouble = redis.call('HGET', all.troubles, ARGV[9])
local since_ms = trouble and string.match(trouble, '"at_ms": (%d+)') or string.format('%.0f', now_ms)
local text = '{"message": ' .. ARGV[10] .. ', "at_ms": ' .. since_ms .. '}'
redis.call('HSET', all.troubles, ARGV[9], text)

-- A look that was asked for since this one began is not over.
local asked = redis.call('ZSCORE', r.heal, member)
if asked and tonumber(asked) == tonumber(ARGV[8]) then
  if final then
    redis.call('ZREM', r.heal, member)
  else
    -- As long as it has lasted already: the waits double.
    local wait = math.min(math.max(now_ms - tonumber(since_ms), tonumber(ARGV[14])), tonumber(ARGV[15]))
    redis.call('ZADD', r.heal, now_ms + wait, member)
  end
end
local next_look = redis.call('ZRANGE', r.heal, 0, 0, 'WITHSCORES')
if next_look[2] then redis.call('ZADD', all.healing, next_look[2], repository)
else redis.call('ZREM', all.healing, repository) end

local standing = redis.call('HGET', r.live, name)
if final then
  redis.call('HDEL', r.untagging, name)
  redis.call('HDEL', r.deleted, name .. ' ' .. short)
elseif not known and standing and string.sub(standing, 1, #short + 1) == short .. ' ' then
  local size = string.match(standing, '^%S+ (%d+)') or '0'
  local time = redis.call('ZSCORE', r.tags, name) or '0'
  redis.call('HSET', r.deleted, name .. ' ' .. short,
             short .. ' ' .. string.format('%.0f', time) .. ' ' .. now_us .. ' ' .. size .. ' ' .. ARGV[12])
  redis.call('EXPIRE', r.deleted, ARGV[16])
end
if final and not (trouble and string.find(trouble, '"message": "' .. ARGV[17], 1, true)) then
  redis.call('HINCRBY', all.counters, 'lost', 1)
  local fields = {'action', 'lost', 'tag', name, 'digest', digest, 'size', '0', 'actor', 'pushprune', 'agent', '',
                  'address', '', 'at_us', now_us, 'reason', ARGV[11], 'rule', '', 'media', ''}
  redis.call('XADD', r.history, 'MAXLEN', '~', ARGV[6], '*', unpack(fields))
  redis.call('XADD', all.events, 'MAXLEN', '~', ARGV[7], '*', 'repository', repository, unpack(fields))
end
return trouble and 0 or 1
