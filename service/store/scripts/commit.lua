-- Commits a plan, only against the state it was made from (safety rule 2).
--
-- What was requested manually goes before the policy has its turn: what waits and what would go stay as they are, and the
-- repository is planned again once it is gone, or after a minute.
--
-- KEYS  generation due doomed doomed:R dry_run:R hold:R attempts untagged:R created:R pulled:R unapproved unannounced
--       unconfirmed planned
-- ARGV  1 repository  2 generation the plan was made from  3 when to plan again (ms; 0 = at the next push)
--       4 target: doomed | manual | dry_run | held | none  5 held plan as JSON, without its time  6 now (µs)
--       7 fields of untagged:R that say nothing any more (count), 8 of created:R (count)  9 doomed members of pulled:R
--       (count)  10 the latest pull that the plan knew (µs)  11 members of pulled:R that say nothing any more (count)
--       12 approved (1: nothing of what was there before needs an approval any more)  13 tags that are kept only as their
--       pushes were not heard (count)
--       14 the newest push that the plan decided about (µs; '' = the one before stays); then
--       those fields, those fields, those members, these members; then digest (short), JSON of each doomed digest
-- Result 0 somebody pushed, or pulled what is doomed, in between: plan again; 1 committed; 2 committed, and its deletion backs off already
local repository = ARGV[1]
if (redis.call('HGET', all.generation, repository) or '0') ~= ARGV[2] then return 0 end
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)

local result = 1
local at = 14 + tonumber(ARGV[7]) + tonumber(ARGV[8])
if tonumber(ARGV[9]) > 0 then
  local used = {}
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', r.pulled, '(' .. ARGV[10], '+inf')) do used[member] = true end
  for i = at + 1, at + tonumber(ARGV[9]) do
    if used[ARGV[i]] then return 0 end
  end
end

local held_before = redis.call('GET', r.hold)
redis.call('DEL', r.doomed)
if ARGV[4] ~= 'manual' then redis.call('DEL', r.dry_run, r.hold) end
at = 14
for list = 1, 2 do
  for _ = 1, tonumber(ARGV[6 + list]) do
    at = at + 1
    redis.call('HDEL', ({r.untagged, r.created})[list], ARGV[at])
  end
end
at = at + tonumber(ARGV[9])
for _ = 1, tonumber(ARGV[11]) do
  at = at + 1
  redis.call('ZREM', r.pulled, ARGV[at])
end
if ARGV[4] ~= 'manual' then
  if ARGV[13] == '0' then redis.call('HDEL', all.unannounced, repository)
  else redis.call('HSET', all.unannounced, repository, ARGV[13]) end
  if ARGV[14] ~= '' then redis.call('HSET', all.planned, repository, ARGV[14]) end
end
local target = r.doomed
if ARGV[4] == 'dry_run' then target = r.dry_run end
if ARGV[4] == 'held' then
  -- A plan that waits has been waiting since the first one did.
  local since = held_before and string.match(held_before, '"at_us": ?"(%d+)"') or ARGV[6]
  redis.call('SET', r.hold, '{"at_us": "' .. since .. '", ' .. string.sub(ARGV[5], 2))
elseif ARGV[4] ~= 'none' then
  for i = at + 1, #ARGV, 2 do redis.call('HSET', target, ARGV[i], ARGV[i + 1]) end
end
if ARGV[4] == 'dry_run' then redis.call('EXPIRE', r.dry_run, 604800) end
if ARGV[12] == '1' then redis.call('HDEL', all.unapproved, repository) end
-- Such a plan commits only once the registry listed the tags that the history knows.
if ARGV[4] == 'doomed' then redis.call('SREM', all.unconfirmed, repository) end
if (ARGV[4] == 'doomed' or ARGV[4] == 'manual') and #ARGV > at then
  local waits = tonumber(redis.call('HGET', all.attempts, 'doomed ' .. repository .. ' until') or 0)
  if waits > now_ms then
    redis.call('ZADD', all.doomed, waits, repository)
    result = 2
  else
    redis.call('ZADD', all.doomed, now_ms + 2000, repository)
  end
else
  redis.call('ZREM', all.doomed, repository)
end
if ARGV[4] == 'manual' then
  redis.call('ZADD', all.due, now_ms + 60000, repository)
elseif tonumber(ARGV[3]) > 0 then
  redis.call('ZADD', all.due, ARGV[3], repository)
else
  redis.call('ZREM', all.due, repository)
end
return result
