-- Notes what somebody wants deleted by hand, and makes the repository due. A tag that stands elsewhere by now is left out.
--
-- What was planned before is planned anew: what was asked for goes first.
--
-- KEYS  1 asked:R  2 live:R  3 untagged:R  4 due  5 generation  6 doomed (zset)  7 doomed:R
-- ARGV  1 repository  2 resend after (ms)  3 life (s); then per ask: tag, or "@<short digest>" of a manifest that the
--       registry has; digest; short digest; JSON
-- Result the tags, and "@<short digest>"s, that were noted
local repository = ARGV[1]
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])

local asked = redis.call('HGETALL', KEYS[1])
for i = 1, #asked, 2 do
  local at_us = tonumber(string.match(asked[i + 1], '"at_us":(%d+)') or 0)
  if not string.find(asked[i + 1], '"refused":""', 1, true) and at_us < (now_ms - 86400000) * 1000 then
    redis.call('HDEL', KEYS[1], asked[i])
  end
end

local function has_tag(short)
  for _, standing in ipairs(redis.call('HVALS', KEYS[2])) do
    if string.sub(standing, 1, #short + 1) == short .. ' ' then return true end
  end
  return false
end

local noted = {}
for i = 4, #ARGV, 4 do
  local name, digest, short, text = unpack(ARGV, i, i + 3)
  local standing = redis.call('HGET', KEYS[2], name)
  local stands = standing and string.sub(standing, 1, #short + 1) == short .. ' '
  if name == '@' .. short then
    stands = true
    if not has_tag(short) and redis.call('HEXISTS', KEYS[3], digest) == 0 then
      redis.call('HSETNX', KEYS[3], short, now_us .. ' ')
    end
  end
  if stands then
    redis.call('HSET', KEYS[1], name, text)
    noted[#noted + 1] = name
  end
end
if #noted == 0 then return noted end
redis.call('EXPIRE', KEYS[1], ARGV[3])
if redis.call('HEXISTS', KEYS[5], repository) == 0 then redis.call('HSET', KEYS[5], repository, now_us) end
redis.call('HINCRBY', KEYS[5], repository, 1)
redis.call('DEL', KEYS[7])
redis.call('ZREM', KEYS[6], repository)
redis.call('ZADD', KEYS[4], 'LT', now_ms + tonumber(ARGV[2]), repository)
return noted
