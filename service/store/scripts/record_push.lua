-- A push that was heard: of an index, an image, or a manifest without a tag.

-- Whether a manifest has lost an index, after this push of it: that tells more of it than a tag that is gone by now, and
-- that may have stood elsewhere long before.
local function was_part_since(r, e)
  local part = redis.call('HGET', r.untagged, e.digest)
  return part and tonumber(string.match(part, '^%d+')) >= e.at
end

-- links:R of an index: the time of its push. An event never tells what the index lists: somebody may have forged the
-- event. Its manifest tells, once a worker has read it; content never changes, so what was read stays known.
local function link(r, e)
  local known = redis.call('HGET', r.links, e.digest)
  local children, pushed = '?', e.at
  if known then
    local space = string.find(known, ' ', 1, true)
    pushed = math.max(pushed, tonumber(string.sub(known, 1, space - 1)))
    children = string.sub(known, space + 1)
  end
  local void = void_until(r, '@' .. e.short)
  if void >= pushed then
    if children ~= '?' then untag_children(r, children, string.format('%.0f', void), e.short) end
    pushed, children = void, '?'
  end
  redis.call('HSET', r.links, e.digest, string.format('%.0f', pushed) .. ' ' .. children)
end

-- What a manifest references never changes; where there is no room, one of the others is forgotten.
local function remember(r, e)
  local layers = r.layers
  if e.layers == '' or redis.call('HEXISTS', layers, e.short) == 1 then return end
  local over = redis.call('HLEN', layers) + 1 - limit.layers
  if over > 0 then redis.call('HDEL', layers, unpack(redis.call('HRANDFIELD', layers, math.min(over, 1000)))) end
  redis.call('HSET', layers, e.short, e.layers)
end

local function push(r, e)
  -- Asked first: the push of an index drops the plan, and with it what says that the tag was being deleted.
  local digest = e.tag ~= '' and stood_at(r, e.tag)
  local mark = digest and digest ~= e.short and begun(r, e.tag, digest)
  log(r, 'push', e)
  changed(r)
  redis.call('ZREM', r.approvals, e.digest)
  if redis.call('HDEL', r.doomed, e.short) == 1 then
    log(r, 'rescued', e, 'pushed again before it was deleted')
    mark_due(r)
  end
  if redis.call('HLEN', r.doomed) == 0 then redis.call('ZREM', all.doomed, r.name) end
  if e.index then
    link(r, e)
    drop_plan(r)
    if redis.call('EXISTS', r.trash) == 1 then look_at(r, e.digest, true) end
  end
  local void, gone = void_until(r, e.tag), e.at <= void_until(r, '@' .. e.short)
  if not gone then
    remember(r, e)
    -- Whoever wanted it gone did not know of this push.
    redis.call('HDEL', r.manual, '@' .. e.short)
    redis.call('ZREM', r.manual_deleted, e.short)
  end
  if e.tag == '' then
    if not gone then
      untag(r, e.short, e.at_us, '')
      redis.call('ZADD', all.due, 'NX', now_ms + 3600000, r.name)  -- what nobody completes is looked at then
    end
    return
  end
  local current = redis.call('ZSCORE', r.tags, e.tag)
  if e.at <= void then
    -- A tag that was deleted and restored since stands where it stood at its last push, or elsewhere.
    if current and digest == e.short then
      redis.call('ZADD', r.tags, 'GT', e.at_us, e.tag)
      mark_due(r)
    elseif not gone and not was_part_since(r, e) then untag(r, e.short, string.format('%.0f', void), e.tag) end
    return
  end
  if current then
    local late = e.at < tonumber(current) or (e.at == tonumber(current) and e.short <= digest)
    local actor = string.match(redis.call('HGET', r.live, e.tag), '^%S+ %S+ (.*)$')
    if digest == e.short and (actor == '?' or actor == '?first?') then
      -- A tag that was found before its push was reported has the time of that push from then on. But a push that is
      -- older than a push of another image to the tag did not put it there.
      local newest = tonumber(string.match(redis.call('HGET', r.revisions, e.tag) or '', '^%d+') or -1)
      late = e.at <= newest
    end
    if digest ~= e.short then
      -- A tag that was found, and not seen pushed, has no time: it was there until now.
      local lost, lost_at, until_us = digest, tonumber(current) > 0 and string.format('%.0f', current) or e.at_us, e.at_us
      if late then lost, lost_at, until_us = e.short, e.at_us, string.format('%.0f', current) end
      if tonumber(lost_at) > void_until(r, '@' .. lost) then
        untag(r, lost, until_us, e.tag, not late and mark)
      end
      overwritten(r, e.tag, -1, late and digest or e.short, lost_at, lost)
      -- Other tags of it were to go without it, as this one kept it.
      if not late then undoom(r, lost) end
    end
    if late then return end
  end
  redis.call('HDEL', r.untagged, e.short, e.digest)
  redis.call('HDEL', r.manual, e.tag)
  redis.call('HDEL', r.untagging, e.tag)
  redis.call('ZADD', r.tags, e.at_us, e.tag)
  -- Not marked as proved: an event may say of an index that it is an image.
  redis.call('HSET', r.live, e.tag, e.short .. ' ' .. e.size .. ' ' .. e.actor)
  if may_have_met_us(r, e) then look_at(r, e.tag, true) end
  mark_due(r)
end
