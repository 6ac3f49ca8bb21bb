-- Record envelopes exactly once. Late, repeated and unordered events lead to the same state as the same events in order:
-- for each tag the latest time of the registry wins, and pushes before a known deletion do not count.
--
-- The parts of this script are in record/.
--
-- KEYS  seen:HOUR seen:HOUR_BEFORE due generation instances restarts events dictionary pulls rejected counters doomed
--       healing last_notification unread_manifests pushing manifest_puts unreferenced unconfirmed unseen compared trashed enforce
--       by_name by_push by_tags live_tags tags:EACH live:EACH pulled:EACH voided:EACH links:EACH doomed:EACH heal:EACH
--       history:EACH trash:EACH touched:EACH own_puts:EACH untagged:EACH revisions:EACH created:EACH approvals:EACH
--       manual:EACH manual_deleted:EACH untagging:EACH layers:EACH pushes:EACH
-- ARGV  resend_ms         a due repository is sent again after this time
--       again_ms          a DELETE that is on its way has ended after this time
--       late_us           a push may be reported that long after a comparison has found it
--       youth_ms          how long a push in progress is remembered
--       seen_s            how long the id of an event is remembered
--       history_entries
--       event_entries
--       pull_entries
--       rejected_entries
--       max_pushes
--       max_blobs
--       max_layers        manifests of a repository whose layers are remembered
--       max_unseen        repositories that were never seen at the registry
--       max_unseen_tags   tags, or indexes, of each of them
--       repositories...
--       messages...       for each repository what asks the workers to plan it; '' = the caller sends it
--       unparsed(reason excerpt)
--       received(id at_us action repository tag digest short packed size index actor agent address instance kind media
--         client references layers)  events. repository: its number; packed: the digest as in live:R; index: 1 if it must be
--         read; kind: manifest, tombstone (pushed by a user), other tombstone (pushed by another pushprune), blob, own or
--         ignored; references: short digests of the blobs and children of a push; layers: as in layers:R, '' = unknown
-- Result {a letter for each event: r = recorded, d = duplicate, f = refused, u = unrecordable; repository that became due, …}
-- include lib/clock
-- include lib/bump
-- include lib/index_tags
-- include lib/short
-- include lib/entry
-- include lib/live
-- include lib/doomed
-- include lib/spare
-- include lib/voided
-- include lib/untagged
-- include lib/revisions
-- include lib/layers
-- include lib/pushes
-- include lib/sizes
-- include record/state
-- include record/untagged
-- include record/push
-- include record/use
-- include record/open

local function reject(reason, excerpt)
  redis.call('XADD', all.rejected, 'MAXLEN', '~', rejected_entries, '*', 'reason', reason, 'excerpt', excerpt)
  count('rejected')
end

-- Return why an event is refused, '' if it is not. A client that can post events could name any number of repositories.
local function refusal(r, e)
  if e.kind == 'own' or e.kind == 'blob' then return '' end
  if not redis.call('ZSCORE', all.unseen, r.name) then
    if redis.call('HEXISTS', all.compared, r.name) == 1 then return '' end
    if redis.call('ZCARD', all.unseen) >= tonumber(max_unseen) then
      return 'more repositories than history.unseen_repositories were named that were never found at the registry'
    end
    redis.call('ZADD', all.unseen, now_ms, r.name)
    return ''
  end
  local is_new = e.tag ~= '' and not redis.call('ZSCORE', r.tags, e.tag)
  if (is_new and redis.call('ZCARD', r.tags) >= tonumber(max_unseen_tags))
    or (e.index and redis.call('HLEN', r.links) >= tonumber(max_unseen_tags)) then
    return 'too many tags were named of a repository that was never found at the registry'
  end
  return ''
end

local function record(r, e)
  -- "push" counts images. Each of them causes events for its layers and its config as well.
  if e.kind == 'own' or e.kind == 'blob' then count(e.kind .. ' ' .. e.action)
  elseif e.kind ~= 'refused' then count(e.action) end
  if e.instance ~= '' and redis.call('ZADD', all.instances, 'NX', now_ms, e.instance) == 1 then
    redis.call('INCR', all.restarts)
    redis.call('ZREMRANGEBYRANK', all.instances, 0, -65)
  end
  if e.kind == 'own' then own(r, e)
  elseif e.kind == 'blob' then
    count('blob')
    if e.action ~= 'pull' and e.action ~= 'delete' then open_push(r, e) end
  elseif e.kind == 'tombstone' or e.kind == 'other tombstone' then copied_tombstone(r, e)
  elseif e.kind == 'refused' then return
  elseif e.action == 'push' then
    push(r, e)
    end_push(r, e)
  elseif e.action == 'pull' then pull(r, e)
  elseif e.action == 'delete' then delete(r, e)
  end
end

-- Return the letter of the result.
local function record_unless_refused(r, e)
  local reason = refusal(r, e)
  if reason ~= '' then
    e.kind = 'refused'
    reject(reason, e.action .. ' ' .. r.name .. ' ' .. e.tag .. ' ' .. e.digest)
  end
  record(r, e)
  return reason == '' and 'r' or 'f'
end

-- The same, when Redis refuses a part. If another kind of value stands under a key of the repository, the event
-- would fail each time that it is sent, and block all others (safety rule 10): it is kept with the rejected events instead.
-- After any other error, such as a right that our user at Redis lacks, the event is not yet seen, and the registry sends it
-- again. In both cases the repository is compared with the registry before more is deleted: a part may be recorded.
local function record_or_reject(r, e)
  local has_ended, result = pcall(record_unless_refused, r, e)
  if has_ended then return result end
  local text = type(result) == 'table' and result.err or tostring(result)
  local is_distrusted = pcall(function()
    redis.call('HSET', all.compared, r.name, '')
    bump(r.name)
    mark_due(r)
  end)
  if is_distrusted and string.find(text, 'WRONGTYPE', 1, true) then
    reject('Redis cannot record it: ' .. text, e.action .. ' ' .. r.name .. ' ' .. e.tag .. ' ' .. e.digest)
    return 'u'
  end
  redis.call('SREM', all['seen:HOUR'], e.id)
  error(result, 0)
end

for _, event in ipairs(unparsed) do reject(event.reason, event.excerpt) end

local outcomes = {}
for _, e in ipairs(received) do
  local r = each[tonumber(e.repository)]
  e.at, e.index = tonumber(e.at_us), e.index == '1'
  note_digest(e.short, e.packed)
  if redis.call('SISMEMBER', all['seen:HOUR_BEFORE'], e.id) == 1 or redis.call('SADD', all['seen:HOUR'], e.id) == 0 then
    outcomes[#outcomes + 1] = 'd'
    count('duplicate')
  else
    outcomes[#outcomes + 1] = record_or_reject(r, e)
  end
end
outcomes = table.concat(outcomes)
if string.find(outcomes, '[rfu]') then
  redis.call('EXPIRE', all['seen:HOUR'], seen_s)
  redis.call('SET', all.last_notification, now_ms)
end
forget_open_pushes()

local result = {outcomes}
for i, r in ipairs(each) do
  if r.newly then
    result[#result + 1] = r.name
    if messages[i] ~= '' then redis.call('LPUSH', all.enforce, messages[i]) end
  end
end
return result
