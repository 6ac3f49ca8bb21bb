-- Note that the tags of doomed images were deleted, with the reasons in the history. A tag that was pushed meanwhile stays
-- live and is checked, because the untagging may have met that push. A manifest that is left without a tag stays doomed; if
-- its plan is dropped, the next plan deletes it.
--
-- KEYS  doomed:R doomed tags:R live:R pulled:R voided:R heal:R history:R events dictionary generation due healing
--       untagged:R revisions:R deleted:R counters manual:R manual_deleted:R untagging:R by_name by_push by_tags live_tags
-- ARGV  repository
--       history_entries
--       event_entries
--       resend_ms
--       deleted_s        how long a deletion can be restored
--       dangling         ' tag tag ': tags that are still listed
--       images(digest short doomed rest is_manual is_left)  doomed: its JSON as planned; rest: what is doomed of it now, '' =
--         nothing: it stays; is_manual: its parts and referrers are deleted with it; is_left: it is deleted later
--       verdicts(image tag pushed_us reason rule by)  image: the number of its row
-- Result 1 if the repository became due, else 0
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
local must_plan, has_changed = false, false

local function untag(image, verdict, live)
  local tag, size = verdict.tag, size_of(live)
  has_changed = true
  redis.call('HDEL', r.manual, tag)
  redis.call('ZREM', r.tags, tag)
  redis.call('HDEL', r.live, tag)
  redis.call('ZREM', r.pulled, tag)
  redis.call('HDEL', r.revisions, tag)
  redis.call('HDEL', r.untagging, tag)
  make_void(r, tag, verdict.pushed_us)
  local mark = (image.rest ~= '' or image.is_left == '1') and ' untagged' or ''
  redis.call('HSET', r.untagged, image.short, now_us .. ' ' .. tag .. mark)
  note_restorable(r, tag .. ' ' .. image.short, image.short, verdict.pushed_us, size, verdict.reason)
  if image.rest == '' then redis.call('HINCRBY', all.counters, 'untagged', 1) end
  redis.call('HINCRBY', all.counters, 'rule ' .. verdict.rule, 1)
  local action = string.find(dangling, ' ' .. tag .. ' ', 1, true) and 'still listed' or 'pruned'
  local entry = {tag = tag, digest = image.digest, size = size, actor = verdict.by}
  add_entry(r.history, repository, action, entry, verdict.reason, verdict.rule)
end

for _, image in ipairs(images) do image.is_doomed = redis.call('HGET', r.doomed, image.short) == image.doomed end
for _, verdict in ipairs(verdicts) do
  local image, tag = images[tonumber(verdict.image)], verdict.tag
  redis.call('ZREM', r.heal, tag .. ' again')
  local live, score = redis.call('HGET', r.live, tag), redis.call('ZSCORE', r.tags, tag)
  local is_unchanged = score and points_at(live, image.short) and tonumber(score) == tonumber(verdict.pushed_us)
  if image.is_doomed and is_unchanged then
    untag(image, verdict, live)
  elseif score then
    check_at(r, repository, tag, now_ms, now_ms + resend_ms)
    must_plan = true
  end
end
for _, image in ipairs(images) do
  if image.is_doomed and image.rest == '' then undoom(r, repository, image.short) end
  if image.is_doomed and image.rest ~= '' then
    redis.call('HSET', r.doomed, image.short, image.rest)
    if image.is_manual == '1' then redis.call('ZADD', r.manual_deleted, now_us, image.short) end
  end
  -- After the manual deletions the policy decides.
  if image.is_manual == '1' and redis.call('HLEN', r.doomed) == 0 then must_plan = true end
end
redis.call('EXPIRE', r.manual_deleted, 86400)
if redis.call('ZCARD', r.heal) == 0 then redis.call('ZREM', all.healing, repository) end
if redis.call('HLEN', r.doomed) == 0 then redis.call('ZREM', all.doomed, repository) end
-- A plan that was made before this would drop what is in untagged:R now, so it must not commit.
if has_changed or must_plan then bump(repository) end
if has_changed then index_tags(r, repository) end
if must_plan then make_due(repository) end
return must_plan and 1 or 0
