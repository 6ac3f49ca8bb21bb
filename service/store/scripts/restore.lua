-- Note that a deletion was undone: the tag is live again with the time of its original push. If the tag was pushed since the
-- restore began, that push wins: the tag is checked, and points at the digest of that push.
--
-- KEYS  doomed:R doomed tags:R live:R voided:R heal:R history:R events dictionary generation due healing untagged:R
--       deleted:R links:R revisions:R counters manual:R manual_deleted:R own_puts:R untagging:R by_name by_push by_tags
--       live_tags
-- ARGV  repository
--       tag              '' = none
--       digest
--       short
--       size
--       pushed_us
--       pushed_by
--       links            its references as in links:R; '' = an image
--       history_entries
--       event_entries
--       resend_ms
--       again_ms         when to check the tag, or the digest: a DELETE may still be on its way
--       by               the user who restored it
--       reason
--       before           the tag's time when the restore began; '' = it was not live
--       since_us         when the restore began: older events and requests do not count
--       parts(digest short) of an index
-- Result 1 noted, or noted before; 0 the tag was pushed meanwhile
-- include lib/clock
-- include lib/bump
-- include lib/index_tags
-- include lib/short
-- include lib/entry
-- include lib/live
-- include lib/doomed
-- include lib/spare
-- include lib/due
-- include lib/heal
-- include lib/voided
-- include lib/untagged
-- include lib/revisions
local score = redis.call('ZSCORE', r.tags, tag)
local old = digest_of(redis.call('HGET', r.live, tag))
if tag ~= '' and score and tonumber(score) == tonumber(pushed_us) and old == short and before ~= score then
  return 1
end
if tag ~= '' and (score and string.format('%.0f', score) or '') ~= before then
  check_at(r, repository, tag, now_ms, now_ms)
  bump(repository)
  make_due(repository)
  return 0
end

-- What a user asked to delete after the restore began is deleted.
local function drop_request(name)
  local request = redis.call('HGET', r.manual, name)
  local asked_us = request and string.match(request, '"at_us":(%d+)')
  if asked_us and tonumber(asked_us) < tonumber(since_us) then redis.call('HDEL', r.manual, name) end
end

spare(r, repository, short)
drop_request(tag)
parts[#parts + 1] = {digest = digest, short = short}
for _, manifest in ipairs(parts) do
  redis.call('HDEL', r.untagged, manifest.digest, manifest.short)
  redis.call('HDEL', r.deleted, '@' .. manifest.short)
  redis.call('ZREM', r.voided, '@' .. manifest.short)
  drop_request('@' .. manifest.short)
  redis.call('ZREM', r.manual_deleted, manifest.short)
end
if links ~= '' then redis.call('HSET', r.links, digest, pushed_us .. ' ' .. links) end
-- A deletion of the tag that is reported later did not meet the PUT of this restore: it may be forged.
local put = redis.call('HGET', r.own_puts, tag)
if put and string.match(put, '^%S+') == digest then redis.call('HSET', r.own_puts, tag, put .. ' restored') end
if tag == '' then
  redis.call('HSET', r.untagged, short, now_us .. ' ')
  check_at(r, repository, digest .. ' again', now_ms + again_ms, now_ms + again_ms)
else
  -- If a user has pushed the same digest again since, that push is the later one.
  if not (old == short and tonumber(score) > tonumber(pushed_us)) then
    redis.call('ZADD', r.tags, pushed_us, tag)
    redis.call('HSET', r.live, tag, pack_digest(short) .. size .. '!' .. packed_name(pushed_by))
  end
  redis.call('HDEL', r.deleted, tag .. ' ' .. short)
  if score and old ~= short then
    -- The plan was made while the tag pointed at the other digest. An image that was doomed because of that push may be kept
    -- now. The other digest has lost this tag, and is one of its revisions.
    local mark = started_mark(r, tag, old)
    drop_doomed(r, repository)
    untag(r, old, now_us, tag, mark)
    set_revisions(r, tag, -1, short, tonumber(score) > 0 and string.format('%.0f', score) or now_us, old)
  end
  make_void(r, tag, since_us)
  check_at(r, repository, tag .. ' again', now_ms + again_ms, now_ms + again_ms)
end
-- The plan was made while this index needed none of its parts. Parts that were not deleted yet are not leased.
if #parts > 1 then drop_doomed(r, repository) end
bump(repository)
index_tags(r, repository)
make_due(repository)
redis.call('HINCRBY', all.counters, 'restored', 1)
add_entry(r.history, repository, 'restored', {tag = tag, digest = digest, size = size, actor = by}, reason)
return 1
