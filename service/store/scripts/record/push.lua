-- Part of record: a push of an index, of an image, or of a manifest without a tag.

-- True if a manifest lost its index after this push. That says more about it than a tag that was deleted, and that may have
-- pointed at another manifest long before.
local function has_lost_index_since(r, e)
  local entry = redis.call('HGET', r.untagged, e.digest)
  return entry and tonumber(string.match(entry, '^%d+')) >= e.at
end

-- Note the time of the push of an index in links:R. The references come from its manifest, once a worker has read it; an
-- event may be forged, so its references are not used. The content behind a digest never changes: what was read stays known.
-- Returns true if the index was deleted since.
local function link(r, e)
  local known = redis.call('HGET', r.links, e.digest)
  local references, pushed_us = '?', e.at
  if known then
    local space = string.find(known, ' ', 1, true)
    pushed_us = math.max(pushed_us, tonumber(string.sub(known, 1, space - 1)))
    references = string.sub(known, space + 1)
  end
  local void_us = void_until(r, '@' .. e.short)
  if void_us >= pushed_us then
    if references ~= '?' then untag_children(r, references, string.format('%.0f', void_us), e.short) end
    pushed_us, references = void_us, '?'
  end
  redis.call('HSET', r.links, e.digest, string.format('%.0f', pushed_us) .. ' ' .. references)
  return void_us >= pushed_us
end

-- True if the last comparison of the repository would have found this push, and its event comes late all the same. It may be
-- forged: its time proves nothing about a tag whose push no event had reported.
local function was_compared_since(r, e)
  local compared_us = string.match(redis.call('HGET', all.compared, r.name) or '', ' (%d+)$')
  return compared_us and e.at < tonumber(compared_us) - late_us
end

-- Mark a live tag as one whose manifest no worker has read. The event has changed the generation, so every process sees it.
local function unprove(r, tag)
  local digest, size, _, actor = parts_of(redis.call('HGET', r.live, tag))
  redis.call('HSET', r.live, tag, digest .. size .. ':' .. actor)
end

-- Handle a push of a tag that is live already. Returns true if it is late: another push of the tag is newer.
local function overwrite(r, e, old, current, mark)
  local is_late = e.at < tonumber(current) or (e.at == tonumber(current) and e.short <= old)
  -- The comparison found the tag at the image that is known, or that image was pushed after the comparison.
  if old ~= e.short and was_compared_since(r, e) then is_late = true end
  local _, _, _, actor = parts_of(redis.call('HGET', r.live, e.tag))
  if old == e.short then
    -- It was recorded in part before, and Redis refused the rest.
    if e.at == tonumber(current) and packed_name(e.actor) == actor then return false end
    if actor ~= '?' and actor ~= '?first' and actor ~= '?first?' then return is_late end
    -- A tag that was found before its push was reported gets the time of that push. But a push that is older than a push of
    -- another image to the tag did not create it.
    return was_compared_since(r, e) or (actor == '?first' and is_late)
      or e.at <= tonumber(string.match(redis.call('HGET', r.revisions, e.tag) or '', '^%d+') or -1)
  end
  -- A tag that was found, and not seen pushed, has no time: it existed until now. It was pushed before this push.
  local known_us = tonumber(current) > 0 and tonumber(current) or e.at - 1
  local lost, lost_us, until_us = old, string.format('%.0f', known_us), e.at_us
  if is_late then
    lost, lost_us, until_us = e.short, e.at_us, tonumber(current) > e.at and string.format('%.0f', current) or now_us
  end
  if tonumber(lost_us) > void_until(r, '@' .. lost) then
    untag(r, lost, until_us, e.tag, not is_late and mark)
  end
  set_revisions(r, e.tag, -1, is_late and old or e.short, lost_us, lost)
  -- The later report may be forged, or of a clock that is ahead: before more is deleted, the registry is asked.
  if is_late then unprove(r, e.tag) end
  -- Other tags of the old digest were to be deleted alone, because this one kept it.
  if not is_late then spare(r, r.name, lost) end
  return is_late
end

local function push(r, e)
  -- Read first: the push of an index drops the plan, and with it the fact that the tag was being deleted.
  local old = e.tag ~= '' and digest_of(redis.call('HGET', r.live, e.tag))
  local mark = old and old ~= e.short and started_mark(r, e.tag, old)
  log(r, 'push', e)
  local generation, is_plain = bump(r.name), true
  redis.call('ZREM', r.approvals, e.digest)
  if spare(r, r.name, e.short) then
    is_plain = false
    log(r, 'rescued', e, 'pushed again before it was deleted')
    mark_due(r)
  end
  if e.index then
    is_plain = not link(r, e)
    drop_plan(r)
    if redis.call('EXISTS', r.trash) == 1 then check(r, e.digest, true) end
  end
  local void_us, is_deleted = void_until(r, e.tag), e.at <= void_until(r, '@' .. e.short)
  if not is_deleted then
    remember_layers(r, e.short, e.layers)
    -- The user who requested the deletion did not know of this push.
    redis.call('HDEL', r.manual, '@' .. e.short)
    redis.call('ZREM', r.manual_deleted, e.short)
  end
  if e.tag == '' then
    if not is_deleted then
      untag(r, e.short, e.at_us, '')
      -- A push that is never completed is planned then.
      redis.call('ZADD', all.due, 'NX', now_ms + 3600000, r.name)
      if is_plain then note_push(r, generation, e.short, e.tag, not e.index) end
    end
    return
  end
  local current = redis.call('ZSCORE', r.tags, e.tag)
  if e.at <= void_us then
    if current and old ~= e.short then
      unprove(r, e.tag)
      redis.call('SADD', all.unconfirmed, r.name)
    end
    -- A tag that was deleted and restored since points at the digest of its last push, or at another.
    -- One whose push time is unknown was found since, and this push did not create it.
    if current and old == e.short then
      if tonumber(current) > 0 and tonumber(current) < e.at then
        redis.call('ZADD', r.tags, e.at_us, e.tag)
        unprove(r, e.tag)
        index_tags(r, r.name)
      end
      mark_due(r)
    elseif not is_deleted and not has_lost_index_since(r, e) then
      untag(r, e.short, string.format('%.0f', void_us), e.tag)
    end
    return
  end
  if current and overwrite(r, e, old, current, mark) then
    -- The index whose part this is may have been reported before.
    drop_parts(r, e.tag, old, redis.call('HGET', r.links, long_of(old)) or '')
    return
  end
  redis.call('HDEL', r.untagged, e.short, e.digest)
  redis.call('HDEL', r.manual, e.tag)
  redis.call('HDEL', r.untagging, e.tag)
  local is_doubtful = not current and was_compared_since(r, e)
  redis.call('ZADD', r.tags, is_doubtful and 0 or e.at_us, e.tag)
  -- The event of an index says nothing of its size, which is known if the same image is pushed again.
  local size = e.size
  if size == '0' then size = old == e.short and size_of(redis.call('HGET', r.live, e.tag)) or image_size(r, e.short) end
  -- Not marked as read: an event may call an index an image.
  redis.call('HSET', r.live, e.tag, pack_digest(e.short) .. size .. ':' .. (is_doubtful and '?' or packed_name(e.actor)))
  index_tags(r, r.name)
  if e.index then drop_parts(r, e.tag, e.short, redis.call('HGET', r.links, e.digest)) end
  if may_have_met_us(r, e) then
    check(r, e.tag, true)
    is_plain = false
  end
  mark_due(r)
  if is_plain then note_push(r, generation, e.short, e.tag, not e.index) end
end
