-- Notes that doomed tags were taken off their manifests: they leave the live ones, with their reasons in the history.
-- A tag that was pushed meanwhile stays, and is to be healed: the take-off may have met that push. The manifest that is
-- left without a tag stays doomed, or goes with the next plan should this one be dropped.
--
-- KEYS  doomed:R doomed tags:R live:R pulled:R voided:R heal:R history:R events generation due healing untagged:R
--       revisions:R deleted:R counters manual:R manual_deleted:R untagging:R
-- ARGV  1 repository  2 history entries kept  3 events kept  4 resend after (ms)  5 life of deleted:R (s)
--       6 ' tag tag ': those that are still listed; then per digest:
--       digest, short digest, JSON of what was doomed, JSON of what still is ('' = nothing: it stays), by hand (1: what
--       follows it goes), left (1: it stays for now, and is deleted later), tags (count); per tag:
--       tag, time_us, reason, rule, who took it off
-- Result 1 when the repository became due again, else 0

-- include bump
local repository = ARGV[1]
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
local resend, again, changed = now_ms + tonumber(ARGV[4]), 0, false

local function look_at(tag)
  redis.call('ZADD', r.heal, now_ms, tag)
  redis.call('ZADD', all.healing, 'LT', resend, repository)
  again = 1
end

local function take(digest, short, rest, left, standing, tag, time, reason, rule, actor)
  local size = string.match(standing, '^%S+ (%d+)') or '0'
  changed = true
  redis.call('HDEL', r.manual, tag)
  redis.call('ZREM', r.tags, tag)
  redis.call('HDEL', r.live, tag)
  redis.call('ZREM', r.pulled, tag)
  redis.call('HDEL', r.revisions, tag)
  redis.call('HDEL', r.untagging, tag)
  redis.call('ZADD', r.voided, 'GT', time, tag)
  redis.call('ZREMRANGEBYRANK', r.voided, 0, -1001)
  redis.call('HSET', r.untagged, short, now_us .. ' ' .. tag .. ((rest ~= '' or left) and ' untagged' or ''))
  redis.call('HSET', r.deleted, tag .. ' ' .. short, short .. ' ' .. time .. ' ' .. now_us .. ' ' .. size .. ' ' .. reason)
  if rest == '' then redis.call('HINCRBY', all.counters, 'untagged', 1) end
  local action = string.find(ARGV[6], ' ' .. tag .. ' ', 1, true) and 'still listed' or 'pruned'
  local fields = {'action', action, 'tag', tag, 'digest', digest, 'size', size, 'actor', actor, 'agent', '',
                  'address', '', 'at_us', now_us, 'reason', reason, 'rule', rule, 'media', ''}
  redis.call('HINCRBY', all.counters, 'rule ' .. rule, 1)
  redis.call('XADD', r.history, 'MAXLEN', '~', ARGV[2], '*', unpack(fields))
  redis.call('XADD', all.events, 'MAXLEN', '~', ARGV[3], '*', 'repository', repository, unpack(fields))
end

local at = 6
while at < #ARGV do
  local digest, short, rest, tags = ARGV[at + 1], ARGV[at + 2], ARGV[at + 4], tonumber(ARGV[at + 7])
  local manual, left = ARGV[at + 5] == '1', ARGV[at + 6] == '1'
  local doomed = redis.call('HGET', r.doomed, short) == ARGV[at + 3]
  at = at + 7
  for _ = 1, tags do
    local tag, time, reason, rule, actor = unpack(ARGV, at + 1, at + 5)
    at = at + 5
    redis.call('ZREM', r.heal, tag .. ' again')
    local standing, current = redis.call('HGET', r.live, tag), redis.call('ZSCORE', r.tags, tag)
    local stood = standing and string.sub(standing, 1, string.find(standing, ' ', 1, true) - 1)
    if doomed and current and stood == short and tonumber(current) == tonumber(time) then
      take(digest, short, rest, left, standing, tag, time, reason, rule, actor)
    elseif current then
      look_at(tag)
    end
  end
  if doomed and rest == '' then redis.call('HDEL', r.doomed, short) end
  if doomed and rest ~= '' then redis.call('HSET', r.doomed, short, rest) end
  if doomed and manual and rest ~= '' then redis.call('ZADD', r.manual_deleted, now_us, short) end
  -- The policy has its turn.
  if manual and redis.call('HLEN', r.doomed) == 0 then
    redis.call('ZADD', all.due, 'LT', resend, repository)
    again = 1
  end
end
redis.call('EXPIRE', r.manual_deleted, 86400)
redis.call('EXPIRE', r.voided, 86400)
redis.call('EXPIRE', r.deleted, ARGV[5])
if redis.call('ZCARD', r.heal) == 0 then redis.call('ZREM', all.healing, repository) end
if redis.call('HLEN', r.doomed) == 0 then redis.call('ZREM', all.doomed, repository) end
-- The commit of a plan that was made before this would drop what untagged:R says by now: it must not commit.
if changed or again == 1 then bump(repository) end
if again == 1 then redis.call('ZADD', all.due, 'LT', resend, repository) end
return again
