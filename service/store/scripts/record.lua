-- Records one envelope exactly once. Late, doubled and out-of-order events leave the same state as the same events in
-- order: per tag the latest registry time wins, and what was deleted stays void up to the time of its deletion.
--
-- KEYS  those of ALL below, then those of EACH for every repository
-- ARGV  repositories, rejected, events (counts), those of LIMITS below; then the repository names; then per rejected
--       event: reason, excerpt; then per event those of EVENT below
-- Result {recorded, duplicates, refused, repository that became due, …}
local ALL = {'seen', 'seen_before', 'due', 'generation', 'instances', 'restarts', 'events', 'pulls', 'rejected',
             'counters', 'doomed', 'healing', 'last_notification', 'unread_manifests', 'pushing', 'unreferenced',
             'unconfirmed', 'unseen', 'compared', 'trashed'}
local EACH = {'tags', 'live', 'pulled', 'voided', 'links', 'doomed', 'heal', 'history', 'trash', 'touched', 'own_puts',
              'untagged', 'revisions', 'created', 'approvals', 'manual', 'manual_deleted', 'untagging', 'layers'}
-- resend, again (look at it again after), youth (how long a push under way is remembered): ms; seen: how long an id is (s);
-- what is kept of the others at most. layers: manifests of a repository whose layers are remembered. unseen: repositories
-- that nobody has seen at the registry yet, unseen_tags: tags, or indexes, of each of them.
local LIMITS = {'resend', 'history', 'events', 'pulls', 'rejected', 'seen', 'again', 'youth', 'pushes', 'blobs', 'layers',
                'unseen', 'unseen_tags'}
-- index: 0 or 1. kind: manifest, tombstone (that a user pushed), other tombstone (that another pushprune pushed), blob,
-- own or ignored. references: short digests of the blobs and children of a push.
-- layers: each "mark:size"; '' = not known.
local EVENT = {'id', 'at_us', 'action', 'repository', 'tag', 'digest', 'short', 'size', 'index', 'actor',
               'agent', 'address', 'instance', 'kind', 'media', 'client', 'references', 'layers'}

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = clock[1] * 1000000 + clock[2]

local at = 0
local function following(count)
  at = at + count
  return at - count
end
local function named(names, values, from)
  local result = {}
  for nth, name in ipairs(names) do result[name] = values[from + nth] end
  return result
end

local repositories, rejected, events = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
following(3)
local limit = named(LIMITS, ARGV, following(#LIMITS))
for name, said in pairs(limit) do limit[name] = tonumber(said) end
local all, repository = named(ALL, KEYS, 0), {}
for nth = 1, repositories do
  repository[nth] = named(EACH, KEYS, #ALL + (nth - 1) * #EACH)
  repository[nth].name = ARGV[following(1) + 1]
end

-- include bump
-- include record_state
-- include record_untagged
-- include record_push
-- include record_use
-- include record_open

for _ = 1, rejected do
  local from = following(2)
  redis.call('XADD', all.rejected, 'MAXLEN', '~', limit.rejected, '*', 'reason', ARGV[from + 1], 'excerpt', ARGV[from + 2])
  count('rejected')
end

-- Why an event is not recorded: "" where it is. Whoever can post events may name any number of repositories.
local function refusal(r, e)
  if e.kind == 'own' or e.kind == 'blob' then return '' end
  if not redis.call('ZSCORE', all.unseen, r.name) then
    if redis.call('HEXISTS', all.compared, r.name) == 1 then return '' end
    if redis.call('ZCARD', all.unseen) >= limit.unseen then
      return 'more repositories were named than history.unseen_repositories that nobody has seen at the registry'
    end
    redis.call('ZADD', all.unseen, now_ms, r.name)
    return ''
  end
  local is_new = e.tag ~= '' and not redis.call('ZSCORE', r.tags, e.tag)
  if (is_new and redis.call('ZCARD', r.tags) >= limit.unseen_tags)
    or (e.index and redis.call('HLEN', r.links) >= limit.unseen_tags) then
    return 'too many tags were named of a repository that nobody has seen at the registry'
  end
  return ''
end

local recorded, duplicates, refused = 0, 0, 0
for _ = 1, events do
  local e = named(EVENT, ARGV, following(#EVENT))
  local r = repository[tonumber(e.repository)]
  e.at, e.index = tonumber(e.at_us), e.index == '1'
  if redis.call('SISMEMBER', all.seen_before, e.id) == 1 or redis.call('SADD', all.seen, e.id) == 0 then
    duplicates = duplicates + 1
    count('duplicate')
  else
    local why = refusal(r, e)
    if why ~= '' then
      e.kind = 'refused'
      redis.call('XADD', all.rejected, 'MAXLEN', '~', limit.rejected, '*', 'reason', why,
                 'excerpt', e.action .. ' ' .. r.name .. ' ' .. e.tag .. ' ' .. e.digest)
      count('rejected')
    end
    recorded = recorded + 1
    -- "push" counts images: each brings events for its layers and its config as well.
    if e.kind == 'own' or e.kind == 'blob' then count(e.kind .. ' ' .. e.action)
    elseif e.kind ~= 'refused' then count(e.action) end
    if e.instance ~= '' and redis.call('ZADD', all.instances, 'NX', now_ms, e.instance) == 1 then
      redis.call('INCR', all.restarts)
      redis.call('ZREMRANGEBYRANK', all.instances, 0, -65)
    end
    if e.kind == 'refused' then refused = refused + 1
    elseif e.kind == 'own' then own(r, e)
    elseif e.kind == 'blob' then
      count('blob')
      if e.action ~= 'pull' and e.action ~= 'delete' then open_push(r, e) end
    elseif e.kind == 'tombstone' or e.kind == 'other tombstone' then copied_tombstone(r, e)
    elseif e.action == 'push' then
      push(r, e)
      end_push(r, e)
    elseif e.action == 'pull' then pull(r, e)
    elseif e.action == 'delete' then delete(r, e)
    end
  end
end
if recorded > 0 then
  redis.call('EXPIRE', all.seen, limit.seen)
  redis.call('SET', all.last_notification, now_ms)
end
forget_open_pushes()

local result = {recorded - refused, duplicates, refused}
for _, r in ipairs(repository) do
  if r.newly then result[#result + 1] = r.name end
end
return result
