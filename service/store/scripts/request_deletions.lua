-- Notes what somebody wants deleted by hand, and makes the repository due. A tag that stands elsewhere by now is left out.
--
-- What was planned before is planned anew: what was asked for goes first.
--
-- KEYS  manual:R live:R untagged:R due generation doomed doomed:R restored:R
-- ARGV  1 repository  2 resend after (ms)  3 life (s)  4 digests that were restored, and that this deletes or takes along
--       (count); then these digests; then per ask: tag, or "@<short digest>" of a manifest that the
--       registry has; digest; short digest; JSON
-- Result the tags, and "@<short digest>"s, that were noted

-- include bump
local repository = ARGV[1]
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])

local asked = redis.call('HGETALL', r.manual)
for i = 1, #asked, 2 do
  local at_us = tonumber(string.match(asked[i + 1], '"at_us":(%d+)') or 0)
  if not string.find(asked[i + 1], '"rejected":""', 1, true) and at_us < (now_ms - 86400000) * 1000 then
    redis.call('HDEL', r.manual, asked[i])
  end
end

local function has_tag(short)
  for _, standing in ipairs(redis.call('HVALS', r.live)) do
    if string.sub(standing, 1, #short + 1) == short .. ' ' then return true end
  end
  return false
end

local noted = {}
local first = 5 + tonumber(ARGV[4])
for i = first, #ARGV, 4 do
  local name, digest, short, text = unpack(ARGV, i, i + 3)
  local standing = redis.call('HGET', r.live, name)
  local stands = standing and string.sub(standing, 1, #short + 1) == short .. ' '
  if name == '@' .. short then
    stands = true
    if not has_tag(short) and redis.call('HEXISTS', r.untagged, digest) == 0 then
      redis.call('HSETNX', r.untagged, short, now_us .. ' ')
    end
  end
  if stands then
    redis.call('HSET', r.manual, name, text)
    noted[#noted + 1] = name
  end
end
if #noted == 0 then return noted end
for i = 5, first - 1 do redis.call('ZREM', r.restored, ARGV[i]) end
redis.call('EXPIRE', r.manual, ARGV[3])
bump(repository)
redis.call('DEL', r.doomed)
redis.call('ZREM', all.doomed, repository)
redis.call('ZADD', all.due, 'LT', now_ms + tonumber(ARGV[2]), repository)
return noted
