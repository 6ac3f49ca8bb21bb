-- Commit a plan, only against the state that it was made from (safety rule 2).
--
-- Manual deletions come before the policy: a plan that waits for approval stays as it is, and the repository is planned
-- again once they are done, or after a minute.
--
-- KEYS  generation due doomed doomed:R dry_run:R hold:R held attempts untagged:R created:R pulled:R unapproved unannounced
--       unconfirmed planned policy policy:comparison
-- ARGV  repository
--       made_from          the generation that the plan was made from, or that of the last push that leaves it valid
--       policy             digest of the policy that was in force then; '' = none
--       overtaken          1 if there were such pushes: the repository is planned again, and obsolete fields may be in use
--       resend_ms
--       next_ms            when to plan again; 0 = after the next push
--       target             doomed | manual | dry_run | held | none
--       hold               the JSON of hold:R, without its time
--       approved           all = nothing that existed before needs an approval any more; the fingerprint of a policy = a
--         first clean-up is over for this policy only; '' = neither
--       unannounced        number of tags that are kept only because their pushes were not reported
--       planned_us         the newest push that the plan considered; '' = unchanged
--       stale_untagged...  obsolete fields of untagged:R
--       stale_created...   obsolete fields of created:R
--       stale_pulled...    obsolete members of pulled:R
--       used(member known_us)  members of pulled:R whose pull would rescue a doomed image. known_us: the latest pull that
--         the plan considered
--       images(short json) of doomed:R or dry_run:R
-- Result 0 if the repository or the policy in force changed, or a doomed image was pulled: plan again; 1 committed;
--        2 committed, and the deletion is backing off
-- include lib/clock
-- include lib/due
-- include lib/planned_by
-- include lib/unapproved
if (redis.call('HGET', all.generation, repository) or '0') ~= made_from then return 0 end
if planned_by() ~= policy then return 0 end

for _, use in ipairs(used) do
  local pulled_us = redis.call('ZSCORE', r.pulled, use.member)
  -- Each by itself: pulls of several registries arrive in another order than they were made.
  if pulled_us and tonumber(pulled_us) > tonumber(use.known_us) then return 0 end
end

local hold_before = redis.call('GET', r.hold)
redis.call('DEL', r.doomed)
for _, field in ipairs(stale_untagged) do redis.call('HDEL', r.untagged, field) end
for _, field in ipairs(stale_created) do redis.call('HDEL', r.created, field) end
for _, member in ipairs(stale_pulled) do redis.call('ZREM', r.pulled, member) end
if target ~= 'manual' then
  redis.call('DEL', r.dry_run, r.hold)
  redis.call('SREM', all.held, repository)
  if unannounced == '0' then redis.call('HDEL', all.unannounced, repository)
  else redis.call('HSET', all.unannounced, repository, unannounced) end
  if planned_us ~= '' then redis.call('HSET', all.planned, repository, planned_us) end
end
if target == 'held' then
  -- The time of the first plan that had to wait is kept.
  local since_us = hold_before and string.match(hold_before, '"at_us": ?"(%d+)"') or now_us
  redis.call('SADD', all.held, repository)
  redis.call('SET', r.hold, '{"at_us": "' .. since_us .. '", ' .. string.sub(hold, 2))
elseif target == 'dry_run' then
  for _, image in ipairs(images) do redis.call('HSET', r.dry_run, image.short, image.json) end
  redis.call('EXPIRE', r.dry_run, 604800)
elseif target ~= 'none' then
  for _, image in ipairs(images) do redis.call('HSET', r.doomed, image.short, image.json) end
end
local first_us = first_clean_up(redis.call('HGET', all.unapproved, repository) or '')
if first_us and approved ~= '' and approved ~= 'all' then
  redis.call('HSET', all.unapproved, repository, first_us .. ' first ' .. approved)
elseif approved ~= '' then
  redis.call('HDEL', all.unapproved, repository)
end
-- Such a plan is committed only after the registry listed the tags that the history knows.
if target == 'doomed' then redis.call('SREM', all.unconfirmed, repository) end

local result = 1
if (target == 'doomed' or target == 'manual') and #images > 0 then
  local until_ms = tonumber(redis.call('HGET', all.attempts, 'doomed ' .. repository .. ' until') or 0)
  if until_ms > now_ms then
    redis.call('ZADD', all.doomed, until_ms, repository)
    result = 2
  else
    redis.call('ZADD', all.doomed, now_ms + 2000, repository)
  end
else
  redis.call('ZREM', all.doomed, repository)
end
if target == 'manual' then
  redis.call('ZADD', all.due, now_ms + 60000, repository)
elseif tonumber(next_ms) > 0 then
  redis.call('ZADD', all.due, next_ms, repository)
elseif overtaken == '0' then
  redis.call('ZREM', all.due, repository)
end
if overtaken == '1' then make_due(repository) end
return result
