-- Notes that doomed tags were taken off their manifests: they leave the live ones, with their reasons in the history.
-- A tag that was pushed meanwhile stays, and is to be healed: the take-off may have met that push. The manifest that is
-- left without a tag stays doomed, or goes with the next plan should this one be dropped.
--
-- KEYS  1 doomed:R  2 doomed (zset)  3 tags:R  4 live:R  5 pulled:R  6 gone:R  7 heal:R  8 history:R  9 events
--       10 generation  11 due  12 healing  13 untagged:R  14 revisions:R  15 deleted:R  16 counters  17 asked:R  18 byhand:R
--       19 taking:R
-- ARGV  1 repository  2 history entries kept  3 events kept  4 resend after (ms)  5 life of deleted:R (s); then per digest:
--       digest, short digest, JSON of what was doomed, JSON of what still is ('' = nothing: it stays), by hand (1: what
--       follows it goes), tags (count); per tag: tag, time_us, reason, rule, who took it off
-- Result 1 when the repository became due again, else 0
local repository = ARGV[1]
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
local resend, again = now_ms + tonumber(ARGV[4]), 0

local function look_at(tag)
  redis.call('ZADD', KEYS[7], now_ms, tag)
  redis.call('ZADD', KEYS[12], 'LT', resend, repository)
  again = 1
end

local function take(digest, short, rest, standing, tag, time, reason, rule, actor)
  local size = string.match(standing, '^%S+ (%d+)') or '0'
  redis.call('HDEL', KEYS[17], tag)
  redis.call('ZREM', KEYS[3], tag)
  redis.call('HDEL', KEYS[4], tag)
  redis.call('ZREM', KEYS[5], tag)
  redis.call('HDEL', KEYS[14], tag)
  redis.call('HDEL', KEYS[19], tag)
  redis.call('ZADD', KEYS[6], 'GT', time, tag)
  redis.call('ZREMRANGEBYRANK', KEYS[6], 0, -1001)
  redis.call('HSET', KEYS[13], short, now_us .. ' ' .. tag .. (rest ~= '' and ' taken' or ''))
  redis.call('HSET', KEYS[15], tag .. ' ' .. short, short .. ' ' .. time .. ' ' .. now_us .. ' ' .. size .. ' ' .. reason)
  if rest == '' then redis.call('HINCRBY', KEYS[16], 'untagged', 1) end
  local fields = {'action', 'pruned', 'tag', tag, 'digest', digest, 'size', size, 'actor', actor, 'agent', '',
                  'address', '', 'at_us', now_us, 'reason', reason, 'rule', rule, 'media', ''}
  redis.call('HINCRBY', KEYS[16], 'rule ' .. rule, 1)
  redis.call('XADD', KEYS[8], 'MAXLEN', '~', ARGV[2], '*', unpack(fields))
  redis.call('XADD', KEYS[9], 'MAXLEN', '~', ARGV[3], '*', 'repository', repository, unpack(fields))
end

local at = 5
while at < #ARGV do
  local digest, short, rest, tags = ARGV[at + 1], ARGV[at + 2], ARGV[at + 4], tonumber(ARGV[at + 6])
  local by_hand = ARGV[at + 5] == '1'
  local doomed = redis.call('HGET', KEYS[1], short) == ARGV[at + 3]
  at = at + 6
  for _ = 1, tags do
    local tag, time, reason, rule, actor = unpack(ARGV, at + 1, at + 5)
    at = at + 5
    redis.call('ZREM', KEYS[7], tag .. ' again')
    local standing, current = redis.call('HGET', KEYS[4], tag), redis.call('ZSCORE', KEYS[3], tag)
    local stood = standing and string.sub(standing, 1, string.find(standing, ' ', 1, true) - 1)
    if doomed and current and stood == short and tonumber(current) == tonumber(time) then
      take(digest, short, rest, standing, tag, time, reason, rule, actor)
    elseif current then
      look_at(tag)
    end
  end
  if doomed and rest == '' then redis.call('HDEL', KEYS[1], short) end
  if doomed and rest ~= '' then redis.call('HSET', KEYS[1], short, rest) end
  if doomed and by_hand and rest ~= '' then redis.call('ZADD', KEYS[18], now_us, short) end
  -- The policy has its turn.
  if by_hand and redis.call('HLEN', KEYS[1]) == 0 then
    redis.call('ZADD', KEYS[11], 'LT', resend, repository)
    again = 1
  end
end
redis.call('EXPIRE', KEYS[18], 86400)
redis.call('EXPIRE', KEYS[6], 86400)
redis.call('EXPIRE', KEYS[15], ARGV[5])
if redis.call('ZCARD', KEYS[7]) == 0 then redis.call('ZREM', KEYS[12], repository) end
if redis.call('HLEN', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], repository) end
if again == 1 then
  redis.call('HINCRBY', KEYS[10], repository, 1)
  redis.call('ZADD', KEYS[11], 'NX', resend, repository)
end
return again
