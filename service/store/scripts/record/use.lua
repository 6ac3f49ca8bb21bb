-- Part of record: pulls, deletions, and pushprune's own traffic.

-- A pull by digest counts for every tag that points at the digest.
local function pull(r, e)
  redis.call('XADD', all.pulls, 'MAXLEN', '~', pull_entries, '*', 'repository', r.name, 'tag', e.tag, 'digest', e.digest,
             'actor', e.actor, 'agent', e.agent, 'address', e.address, 'at_us', e.at_us)
  if e.kind == 'ignored' then return end
  redis.call('ZADD', r.pulled, 'GT', e.at_us, e.tag ~= '' and e.tag or '@' .. e.short)
  -- The policy may keep an image that is used, so plan again before it is deleted; but not if a user requested its deletion.
  local doomed = redis.call('HGET', r.doomed, e.short)
  if doomed and not string.find(doomed, '"manual":true', 1, true) then
    bump(r.name)
    drop_plan(r)
  end
end

local function delete_manifest(r, e)
  make_void(r, '@' .. e.short, e.at_us)
  local links = redis.call('HGET', r.links, e.digest)
  if links and tonumber(string.match(links, '^%d+')) <= e.at then
    untag_children(r, links, e.at_us, e.short)
    redis.call('HSET', r.links, e.digest, e.at_us .. ' ?')
  end
  for _, form in ipairs({e.short, e.digest}) do
    local entry = redis.call('HGET', r.untagged, form)
    if entry and was_deleted_at(r, entry, e.short, e.at) then redis.call('HDEL', r.untagged, form) end
  end
  redis.call('HDEL', r.created, e.short)
  redis.call('HDEL', r.layers, e.short)
  -- Its pulls are kept until no tag points at it: the report may be forged, and a rule may keep the image because of them.
end

local function delete_tag(r, e)
  redis.call('SADD', all.unconfirmed, r.name)
  local was_restored_since = e.at <= void_until(r, e.tag)
  make_void(r, e.tag, e.at_us)
  set_revisions(r, e.tag, e.at)
  -- Healing may have restored the tag at the same moment.
  if redis.call('HEXISTS', r.own_puts, e.tag) == 1 and may_have_met_us(r, e) then check(r, e.tag, true) end
  local current = redis.call('ZSCORE', r.tags, e.tag)
  if current and not was_restored_since and tonumber(current) <= e.at then
    local digest = digest_of(redis.call('HGET', r.live, e.tag))
    local mark = started_mark(r, e.tag, digest)
    if void_until(r, '@' .. digest) < tonumber(current) then untag(r, digest, e.at_us, e.tag, mark) end
    redis.call('ZREM', r.tags, e.tag)
    redis.call('HDEL', r.live, e.tag)
    index_tags(r, r.name)
    redis.call('HDEL', r.untagging, e.tag)
    -- An image that was being deleted had no slot that another image could have now.
    if mark then undoom(r, r.name, digest) else drop_plan(r) end
  end
  -- Its pulls are kept until the registry has confirmed the deletion, as those of a manifest.
end

local function delete(r, e)
  log(r, 'delete', e)
  bump(r.name)
  mark_due(r)  -- parts and referrers may follow
  if e.tag == '' then delete_manifest(r, e) else delete_tag(r, e) end
end

-- Our own traffic changes nothing. But a delete by pushprune that removed a tag which is not doomed must be healed.
local function own(r, e)
  count('own')
  if e.action ~= 'delete' or e.tag == '' then return end
  local digest = digest_of(redis.call('HGET', r.live, e.tag))
  if digest and redis.call('HEXISTS', r.doomed, digest) == 0 then
    check(r, e.tag, false)
    bump(r.name)
    mark_due(r)
  end
end

-- A tombstone that this installation did not push is no image: it is deleted, and a tag that points at it is restored. Another
-- pushprune deletes its tombstone itself; nothing is restored until it has had the time for that.
local function copied_tombstone(r, e)
  local check_tag = e.kind == 'other tombstone' and check_later or check
  check_tag(r, e.digest)
  if e.tag ~= '' then check_tag(r, e.tag) end
  bump(r.name)
  mark_due(r)
end
