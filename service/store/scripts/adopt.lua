-- Take over what a comparison found at the registry. A tag that was pushed or deleted since the comparison began is left
-- alone, because the event is newer. A vanished tag that is doomed is left to the deletion, which knows its reason. That a
-- tag was not listed proves nothing about its manifest (a storage may be away for a moment): the manifest does not count as
-- untagged, and the revisions of the tag are kept.
--
-- KEYS  tags:R live:R pulled:R links:R history:R events dictionary generation compared doomed:R doomed due untagged:R
--       revisions:R heal:R manual:R manual_deleted:R untagging:R unapproved troubles unseen by_name by_push by_tags
--       live_tags counters
-- ARGV  repository
--       epoch            in which it counts as compared from now on; '' = not all tags were compared
--       history_entries
--       event_entries
--       keep_plan        1 if all that vanished was doomed itself
--       lost             1 if nothing is left that could be restored
--       resend_ms
--       found(tag digest short size pushed_us is_index before_us source actor media)  tags to adopt. before_us: the tag's
--         time when the comparison began, '' = unknown; source: of the push time, '' = none; actor: a mark of live:R, or empty
--       vanished(tag before_us)  tags that do not exist any more
-- Result the number of tags that changed
-- include lib/clock
-- include lib/bump
-- include lib/index_tags
-- include lib/short
-- include lib/entry
-- include lib/live
-- include lib/doomed
-- include lib/due
-- include lib/untagged
-- include lib/revisions

local function is_unchanged(tag, before_us)
  local score = redis.call('ZSCORE', r.tags, tag)
  if not score then return before_us == '' end
  return before_us ~= '' and tonumber(score) == tonumber(before_us)
end

-- Tags that the first comparison of a repository finds were there before pushprune. No user has seen yet what a policy does
-- to them, so the first plan that deletes any of them waits for an approval.
local is_first = redis.call('HEXISTS', all.compared, repository) == 0

local changes = 0
for _, tag in ipairs(found) do
  if is_unchanged(tag.tag, tag.before_us) then
    if is_first and tag.before_us == '' then redis.call('HSETNX', all.unapproved, repository, now_us .. ' first') end
    local old = digest_of(redis.call('HGET', r.live, tag.tag))
    if old and old ~= tag.short then
      untag(r, old, now_us, tag.tag, started_mark(r, tag.tag, old))
      local pushed_us = tonumber(redis.call('ZSCORE', r.tags, tag.tag) or 0)
      -- A tag without a time was pushed before the tag that was found in its place.
      local found_us = tonumber(tag.pushed_us)
      local before_us = pushed_us > 0 and pushed_us or (found_us > 0 and found_us or tonumber(now_us)) - 1
      set_revisions(r, tag.tag, -1, tag.short, string.format('%.0f', before_us), old)
    end
    redis.call('HDEL', r.untagged, tag.short, tag.digest)
    redis.call('HDEL', r.manual, '@' .. tag.short)
    redis.call('ZREM', r.manual_deleted, tag.short)
    redis.call('ZADD', r.tags, tag.pushed_us, tag.tag)
    redis.call('HSET', r.live, tag.tag, pack_digest(tag.short) .. tag.size .. '!' .. tag.actor)
    if tag.is_index == '1' then
      redis.call('HSETNX', r.links, tag.digest, tag.pushed_us .. ' ?')
      drop_parts(r, tag.tag, tag.short, redis.call('HGET', r.links, tag.digest))
    end
    local source = tag.source ~= '' and '; ' .. tag.source or ''
    local entry = {tag = tag.tag, digest = tag.digest, size = tag.size, media = tag.media}
    add_entry(r.history, repository, 'adopted', entry, 'found at the registry; its push was not seen' .. source)
    changes = changes + 1
  end
end

-- True if the deletion or healing deals with a tag that vanished. It is lost then, and is restored or recorded by them.
local function is_ours(tag)
  local short = digest_of(redis.call('HGET', r.live, tag))
  if short and redis.call('HEXISTS', r.doomed, short) == 1 then return true end
  if lost == '1' then return false end
  if redis.call('ZSCORE', r.heal, tag) or redis.call('ZSCORE', r.heal, tag .. ' again') then return true end
  -- A tag that could not be restored stays known, until the policy deletes it.
  return keep_plan ~= '1' and redis.call('HEXISTS', all.troubles, 'lost ' .. repository .. ':' .. tag) == 1
end

for _, tag in ipairs(vanished) do
  if tag.before_us ~= '' and is_unchanged(tag.tag, tag.before_us) and not is_ours(tag.tag) then
    redis.call('ZREM', r.tags, tag.tag)
    redis.call('HDEL', r.live, tag.tag)
    redis.call('ZREM', r.pulled, tag.tag)
    add_entry(r.history, repository, 'vanished', {tag = tag.tag}, 'no longer at the registry; its deletion was not seen')
    changes = changes + 1
  end
end
if changes > 0 then
  if keep_plan ~= '1' then drop_doomed(r, repository) end
  make_due(repository)
  bump(repository)
  index_tags(r, repository)
end
if epoch ~= '' then
  -- A repository without a tag at the registry is only known from events.
  if redis.call('ZCARD', r.tags) > 0 then redis.call('ZREM', all.unseen, repository) end
  -- A registry lists emptied repositories for ever: nothing is noted of those that are not known.
  if redis.call('HEXISTS', all.generation, repository) == 1 then
    redis.call('HSET', all.compared, repository, epoch .. ' ' .. now_us)
  end
end
return changes
