-- Note that a doomed digest was deleted: its tags are not live any more, and the reasons are in the history. A tag that was
-- pushed meanwhile stays live and is checked, because the DELETE may have removed it.
--
-- KEYS  doomed:R doomed tags:R live:R pulled:R voided:R links:R heal:R history:R events dictionary generation due
--       gc:deletes gc:due counters healing untagged:R revisions:R created:R approvals:R deleted:R layers:R trashed
--       gc:bytes manual:R manual_deleted:R untagging:R trash:R shrunk by_name by_push by_tags live_tags restored:R
-- ARGV  repository
--       digest
--       short
--       history_entries
--       event_entries
--       collect_deletes  deletes after which a collection is due; 0 = never
--       collect_bytes    deleted bytes after which a collection is due; 0 = never
--       freed_bytes      of blobs that no other known manifest of the repository has; '' = unknown: the size of the image
--       resend_ms
--       plan_again       1 if referrers may follow
--       deleted_s        how long a deletion can be restored
--       doomed           the JSON of doomed:R as it was planned
--       is_manual        1 if its parts and referrers are deleted with it, whatever the policy says
--       made_from        generation of the snapshot that the deletion was made from
--       dangling         ' tag tag ': tags that are still listed
--       verdicts(tag pushed_us reason rule by)  tag: '' = it had none; pushed_us: "part <index>" for a part of an index that
--         was deleted. No rows if the history has the reasons already.
-- Result {1 noted, or 0 noted before; 1 if the repository became due by this}
-- include lib/clock
-- include lib/bump
-- include lib/index_tags
-- include lib/short
-- include lib/entry
-- include lib/live
-- include lib/doomed
-- include lib/due
-- include lib/heal
-- include lib/voided
-- include lib/restorable
-- include lib/untagged
-- include lib/sizes

-- The DELETE has ended: a later check is not needed.
for _, verdict in ipairs(verdicts) do
  redis.call('ZREM', r.heal, verdict.tag .. ' again')
  redis.call('HDEL', r.untagging, verdict.tag)
end
if redis.call('ZCARD', r.heal) == 0 then redis.call('ZREM', all.healing, repository) end

-- What was pushed before the DELETE was sent was deleted by it. What was pushed later may not have been.
local sent_us = redis.call('ZSCORE', all.trashed, repository .. ' ' .. digest)
sent_us = sent_us and string.format('%.0f', sent_us) or now_us

-- The tags that point at the digest, each with the time of its last push.
local function tags_of_digest()
  local flat, found = redis.call('HGETALL', r.live), {}
  for i = 1, #flat, 2 do
    if points_at(flat[i + 1], short) then found[#found + 1] = tonumber(redis.call('ZSCORE', r.tags, flat[i]) or -1) end
  end
  return found
end

-- A user restored the manifest while its DELETE was on its way.
local function is_restored()
  return tonumber(redis.call('ZSCORE', r.restored, digest) or 0) > now_ms
end

local function is_needed()
  return is_restored() or void_until(r, '@' .. short) >= tonumber(sent_us) or #tags_of_digest() > 0
end

local function is_pushed_again()
  for _, pushed_us in ipairs(tags_of_digest()) do
    if pushed_us > tonumber(sent_us) then return true end
  end
  return false
end

-- The digest was rescued, planned anew or noted before while the DELETE was on its way: checking its tags does no harm. If its
-- plan was dropped for another reason and nothing needs the digest, its deletion must be noted. So it must if a push moves
-- its last tag before the digest is restored.
if redis.call('HGET', r.doomed, short) ~= doomed and is_needed() then
  local must_check, is_deleted = false, not is_pushed_again()
  for _, verdict in ipairs(verdicts) do
    if redis.call('HEXISTS', r.live, verdict.tag) == 1 then
      check_at(r, repository, verdict.tag, now_ms, now_ms + resend_ms)
      must_check = true
      if is_deleted then redis.call('HSET', r.untagging, verdict.tag, short .. ' deleted') end
      redis.call('EXPIRE', r.untagging, 86400)
    end
  end
  if is_restored() then
    check_at(r, repository, digest .. ' again', now_ms, now_ms + resend_ms)
    must_check = true
  end
  if must_check then
    bump(repository)
    make_due(repository)
  end
  return {0, must_check and 1 or 0}
end
undoom(r, repository, short)

-- A plan from before the deletion may have doomed the digest once more. Nothing is known of it then, and the deletion is not
-- recorded or counted again.
local function is_known()
  if redis.call('HEXISTS', r.untagged, short) == 1 or redis.call('HEXISTS', r.untagged, digest) == 1 then return true end
  for _, verdict in ipairs(verdicts) do
    if redis.call('HEXISTS', r.live, verdict.tag) == 1 then return true end
  end
  return false
end
local is_first = is_known()

local function log(verdict, size)
  local is_dangling = verdict.tag ~= '' and string.find(dangling, ' ' .. verdict.tag .. ' ', 1, true)
  redis.call('HINCRBY', all.counters, 'rule ' .. verdict.rule, 1)
  local entry = {tag = verdict.tag, digest = digest, size = size, actor = verdict.by}
  add_entry(r.history, repository, is_dangling and 'still listed' or 'pruned', entry, verdict.reason, verdict.rule)
end

-- The parts of an index lose their index. From now on the rules of its tag decide about them.
local last_tag = verdicts[1] and verdicts[1].tag or ''
if last_tag == '' then last_tag = string.match(redis.call('HGET', r.untagged, short) or '', ' (%S*)') or '' end
local links, must_plan = redis.call('HGET', r.links, digest), plan_again == '1'
if links and tonumber(string.match(links, '^%d+')) <= tonumber(sent_us) then
  for child in string.gmatch(links, 'child=(%S+)') do
    redis.call('HSET', r.untagged, child, now_us .. ' ' .. last_tag .. ' part ' .. short)
  end
  redis.call('HDEL', r.links, digest)
  must_plan = true
end
for _, form in ipairs({short, digest}) do
  local entry = redis.call('HGET', r.untagged, form)
  if entry and was_deleted_at(r, entry, short, sent_us) then redis.call('HDEL', r.untagged, form) end
end
redis.call('HDEL', r.created, short)

-- The size of the image: its tags know that of an index.
local size_bytes = image_size(r, short)
for _, verdict in ipairs(verdicts) do
  if size_bytes == '0' then size_bytes = size_of(redis.call('HGET', r.live, verdict.tag)) end
end

redis.call('HDEL', r.layers, short)
-- The generation stays as it is, so that the other deletions of the plan go on; the size of the repository must follow.
redis.call('HINCRBY', all.shrunk, repository, 1)
redis.call('ZREM', r.approvals, digest)
redis.call('ZREM', r.pulled, '@' .. short)
-- The referrers of the digest are deleted with it.
make_void(r, '@' .. short, sent_us)
for _, verdict in ipairs(verdicts) do
  local tag, pushed_us = verdict.tag, verdict.pushed_us
  local live, score = redis.call('HGET', r.live, tag), redis.call('ZSCORE', r.tags, tag)
  if tag == '' then
    -- A part is restored with its index. If another client deleted the index, the part is restored alone.
    local index = string.match(pushed_us, '^part (%S+)')
    if not index or redis.call('HEXISTS', r.trash, index) == 0 then
      note_restorable(r, '@' .. short, short, index and '0' or pushed_us, size_bytes, verdict.reason)
    end
    if is_first then log(verdict, size_bytes) end
  elseif score and points_at(live, short) and tonumber(score) == tonumber(pushed_us) then
    redis.call('ZREM', r.tags, tag)
    redis.call('HDEL', r.live, tag)
    redis.call('ZREM', r.pulled, tag)
    redis.call('HDEL', r.revisions, tag)
    redis.call('HDEL', r.manual, tag)
    make_void(r, tag, pushed_us)
    note_restorable(r, tag .. ' ' .. short, short, pushed_us, size_bytes, verdict.reason)
    log(verdict, size_bytes)
  elseif score then
    check_at(r, repository, tag, now_ms, now_ms + resend_ms)
    must_plan = true
  end
end
index_tags(r, repository)
local count = is_first and 1 or 0
redis.call('HINCRBY', all.counters, 'deleted', count)
local deletes = redis.call('INCRBY', all['gc:deletes'], count)
if tonumber(collect_deletes) > 0 and deletes >= tonumber(collect_deletes) then
  redis.call('SET', all['gc:due'], deletes .. ' digests deleted since the last collection', 'NX')
end
if tonumber(collect_bytes) > 0 then
  local bytes = redis.call('INCRBY', all['gc:bytes'], freed_bytes ~= '' and freed_bytes or size_bytes)
  if bytes >= tonumber(collect_bytes) then
    redis.call('SET', all['gc:due'], string.format('%.1f MB deleted since the last collection', bytes / 1000000), 'NX')
  end
end
redis.call('HDEL', r.manual, '@' .. short)
redis.call('ZREM', r.manual_deleted, short)
if is_manual == '1' then
  if must_plan then redis.call('ZADD', r.manual_deleted, now_us, short) end
  redis.call('EXPIRE', r.manual_deleted, 86400)
  -- After the manual deletions the policy decides.
  if redis.call('HLEN', r.doomed) == 0 then must_plan = true end
end
-- A referrer may have been pushed, and planned while its image existed, since that snapshot.
if redis.call('HGET', all.generation, repository) ~= made_from then must_plan = true end
local newly = 0
if must_plan then
  -- A plan that was made before this would drop the parts and the due entry, so it must not commit.
  bump(repository)
  newly = make_due(repository)
end
return {1, newly}
