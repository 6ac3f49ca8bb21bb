-- Pulls, deletes and our own traffic that were heard.

-- A pull by digest counts for every tag that stands there.
local function pull(r, e)
  redis.call('XADD', all.pulls, 'MAXLEN', '~', limit.pulls, '*', 'repository', r.name, 'tag', e.tag, 'digest', e.digest,
             'actor', e.actor, 'agent', e.agent, 'address', e.address, 'at_us', e.at_us)
  local member = e.tag ~= '' and e.tag or '@' .. e.short
  if e.kind == 'ignored' or e.at <= void_until(r, member) then return end
  redis.call('ZADD', r.pulled, 'GT', e.at_us, member)
  -- What somebody uses may be kept by that: plan again before it is deleted, unless it was requested manually.
  local doomed = redis.call('HGET', r.doomed, e.short)
  if doomed and not string.find(doomed, '"manual":true', 1, true) then
    changed(r)
    drop_plan(r)
  end
end

local function delete(r, e)
  log(r, 'delete', e)
  changed(r)
  mark_due(r)  -- parts and referrers may follow
  if e.tag == '' then
    make_void(r, '@' .. e.short, e.at_us)
    local known = redis.call('HGET', r.links, e.digest)
    if known and tonumber(string.match(known, '^%d+')) <= e.at then
      untag_children(r, known, e.at_us, e.short)
      redis.call('HSET', r.links, e.digest, e.at_us .. ' ?')
    end
    for _, form in ipairs({e.short, e.digest}) do
      local since = redis.call('HGET', r.untagged, form)
      if since and went(r, since, e.short, e.at) then redis.call('HDEL', r.untagged, form) end
    end
    redis.call('HDEL', r.created, e.short)
    redis.call('HDEL', r.layers, e.short)
    -- Its pulls are kept until no tag points at it: the report may be forged, and a rule may keep the image for them.
    return
  end
  redis.call('SADD', all.unconfirmed, r.name)
  local restored = e.at <= void_until(r, e.tag)
  make_void(r, e.tag, e.at_us)
  overwritten(r, e.tag, e.at)
  if redis.call('HEXISTS', r.own_puts, e.tag) == 1 and may_have_met_us(r, e) then look_at(r, e.tag, true) end  -- our healing may have crossed it
  local current = redis.call('ZSCORE', r.tags, e.tag)
  if current and not restored and tonumber(current) <= e.at then
    local digest = stood_at(r, e.tag)
    local mark = begun(r, e.tag, digest)
    if void_until(r, '@' .. digest) < tonumber(current) then untag(r, digest, e.at_us, e.tag, mark) end
    redis.call('ZREM', r.tags, e.tag)
    redis.call('HDEL', r.live, e.tag)
    redis.call('HDEL', r.untagging, e.tag)
    if mark then undoom(r, digest) else drop_plan(r) end  -- what was to go held no place that another could have now
  end
  local pulled = redis.call('ZSCORE', r.pulled, e.tag)
  if pulled and tonumber(pulled) <= e.at then redis.call('ZREM', r.pulled, e.tag) end
end

-- Our own traffic changes nothing, but a delete of ours that took along a tag which is not doomed must be healed.
local function own(r, e)
  count('own')
  if e.action ~= 'delete' or e.tag == '' then return end
  local digest = stood_at(r, e.tag)
  if digest and redis.call('HEXISTS', r.doomed, digest) == 0 then
    look_at(r, e.tag, false)
    changed(r)
    mark_due(r)
  end
end

-- A tombstone that this installation did not push. It is no image: it is deleted, and a tag that it stands under is
-- restored. Another pushprune deletes its tombstone itself: until it has had the time for that, nothing is restored.
local function copied_tombstone(r, e)
  local look = e.kind == 'other tombstone' and look_later or look_at
  look(r, e.digest)
  if e.tag ~= '' then look(r, e.tag) end
  changed(r)
  mark_due(r)
end
