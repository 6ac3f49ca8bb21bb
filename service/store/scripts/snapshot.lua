-- Return everything that a plan needs, read at one moment. Ended leases, and manual deletions from more than a day ago, are
-- dropped. Of the tags, only those are returned that may have changed since the caller read them, if that is known.
--
-- KEYS  tags:R live:R links:R approvals:R heal:R generation compared restarts last_notification pulled:R untagged:R
--       revisions:R created:R leased:R voided:R hold:R manual:R manual_deleted:R unapproved policy troubles capabilities
--       restored:R unconfirmed planned pushes:R relabeled policy:comparison
-- ARGV  repository
--       known_server      of the tags that the caller remembers: as in the result; '' = none
--       known_generation
--       known_relabeled   the number of changes without a generation when they were read
-- Result the fields of `unpack_snapshot`: name, value, name, value, …
-- include lib/clock
-- include lib/planned_by
local compared = redis.call('HGET', all.compared, repository) or ''
local compared_ms = math.floor(tonumber(string.match(compared, ' (%d+)$') or 0) / 1000)
redis.call('ZREMRANGEBYSCORE', r.leased, '-inf', now_ms)
redis.call('ZREMRANGEBYSCORE', r.restored, '-inf', now_ms)
redis.call('ZREMRANGEBYSCORE', r.manual_deleted, '-inf', string.format('%.0f', (now_ms - 86400000) * 1000))
local restarts = redis.call('GET', all.restarts) or '0'
local since, until_ms = string.match(redis.call('HGET', all.capabilities, 'list every tag') or '', '^(%S+) no (%d+)$')
local hides_tags = since == restarts and tonumber(until_ms) > now_ms
local generation = redis.call('HGET', all.generation, repository) or '0'
local relabeled = redis.call('HGET', all.relabeled, repository) or '0'
local voided = redis.call('ZRANGE', r.voided, 0, -1)
-- After another start of Redis, or as a replica that took over, it may lack its last writes, and the same generation may be
-- another state. A server that was a replica for a time has its run id still, but another replication id.
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
local replication_id = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or ''
local server = run_id ~= '' and run_id .. ' ' .. replication_id or ''

-- Return the tags that may have changed since the caller read them; nil if it is not known which. Every change of a tag raises
-- the generation, except that deletions by pushprune void it, and that its size or mark is relabeled. Only plain pushes are
-- noted with their generation. The caller compares the number of tags.
local function changed_tags()
  if known_server == '' or known_server ~= server or known_relabeled ~= relabeled then return nil end
  local since, missing = tonumber(known_generation), tonumber(generation) - tonumber(known_generation)
  if missing < 0 then return nil end
  local names, generations = {}, {}
  for _, noted in ipairs(missing > 0 and redis.call('LRANGE', r.pushes, 0, -1) or {}) do
    local at, tag = string.match(noted, '^(%d+) %S+ (%S*)')
    at = tonumber(at)
    if at > since and not generations[at] then
      generations[at], missing = true, missing - 1
      if tag ~= '' then names[tag] = true end
    end
  end
  if missing ~= 0 then return nil end
  for _, member in ipairs(voided) do
    if string.sub(member, 1, 1) ~= '@' then names[member] = true end
  end
  return names
end

local tags, live, changed = {}, {}, changed_tags()
if changed then
  for tag in pairs(changed) do
    tags[#tags + 1], live[#live + 1] = tag, tag
    tags[#tags + 1], live[#live + 1] = redis.call('ZSCORE', r.tags, tag) or '', redis.call('HGET', r.live, tag) or ''
  end
else
  tags, live = redis.call('ZRANGE', r.tags, 0, -1, 'WITHSCORES'), redis.call('HGETALL', r.live)
end
return {
  'run_id', run_id,
  'server', server,
  'generation', generation,
  'relabeled', relabeled,
  'is_changes', changed and 1 or 0,
  'counts', {redis.call('ZCARD', r.tags), redis.call('HLEN', r.live)},
  'compared', compared,
  'restarts', restarts,
  'tags', tags,
  'live', live,
  'links', redis.call('HGETALL', r.links),
  'approvals', redis.call('ZRANGEBYSCORE', r.approvals, now_ms, '+inf'),
  'heal', redis.call('ZRANGEBYSCORE', r.heal, '-inf', now_ms, 'WITHSCORES'),
  'pulled', redis.call('ZRANGE', r.pulled, 0, -1, 'WITHSCORES'),
  'untagged', redis.call('HGETALL', r.untagged),
  'revisions', redis.call('HGETALL', r.revisions),
  'created', redis.call('HGETALL', r.created),
  'leased', redis.call('ZRANGE', r.leased, 0, -1, 'WITHSCORES'),
  'restored', redis.call('ZRANGE', r.restored, 0, -1, 'WITHSCORES'),
  'voided', voided,
  'hold', redis.call('GET', r.hold),
  'manual', redis.call('HGETALL', r.manual),
  'manual_deleted', redis.call('ZRANGE', r.manual_deleted, 0, -1),
  'silent_ms', now_ms - math.max(tonumber(redis.call('GET', all.last_notification) or 0), compared_ms),
  'unapproved', redis.call('HGET', all.unapproved, repository),
  'policy', planned_by(),
  'troubles', redis.call('HKEYS', all.troubles),
  'hides_tags', hides_tags and 1 or 0,
  'unconfirmed', redis.call('SISMEMBER', all.unconfirmed, repository),
  'planned', redis.call('HGET', all.planned, repository),
}
