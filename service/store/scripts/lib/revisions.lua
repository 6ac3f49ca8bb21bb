-- revisions:R: the digests that a tag pointed at before, each with the time of its last push, newest first, at most 100.
-- Keep those pushed after `since`, without `current`. Add `digest`, pushed at `at_us`, unless it is nil.
local function set_revisions(r, tag, since, current, at_us, digest)
  local before, pushed, order = redis.call('HGET', r.revisions, tag) or '', {}, {}
  -- Nearly always the new one is the newest, and nothing has to be sorted.
  if digest and since < 0 and tonumber(string.match(before, '^%d+') or -1) < tonumber(at_us) then
    order[1] = at_us .. ':' .. digest
    for time, known in string.gmatch(before, '(%d+):(%S+)') do
      if known ~= digest and known ~= current and #order < 100 then order[#order + 1] = time .. ':' .. known end
    end
    redis.call('HSET', r.revisions, tag, table.concat(order, ' '))
    return
  end
  for time, known in string.gmatch(before, '(%d+):(%S+)') do pushed[known] = time end
  if digest and (not pushed[digest] or tonumber(pushed[digest]) < tonumber(at_us)) then pushed[digest] = at_us end
  for known, time in pairs(pushed) do
    if known ~= current and tonumber(time) > since then order[#order + 1] = time .. ':' .. known end
  end
  table.sort(order, function(a, b)
    local first, second = tonumber(string.match(a, '^%d+')), tonumber(string.match(b, '^%d+'))
    return first > second or (first == second and a > b)
  end)
  if #order == 0 then redis.call('HDEL', r.revisions, tag) return end
  redis.call('HSET', r.revisions, tag, table.concat(order, ' ', 1, math.min(#order, 100)))
end

-- Docker with the containerd image store pushes the parts of an index under the tag of the index, right before the index
-- (github.com/moby/moby/pull/49949 ended that). Such a part was no revision of the tag: take it out, so that it takes no place
-- of one. index: a short digest; links: what is known of it, as in links:R. Needs lib/short, lib/live and the keys tags:R, live:R,
-- links:R.
local ONE_PUSH_US = 600000000

-- Return the index; or, if the tag points at an index that lists it, now or before, the latter: the tag pointed at both.
local function outermost(r, live, index, revisions)
  if points_at(live, index) or string.find(revisions, ':' .. index, 1, true) then return index end
  local function lists(digest)
    return string.find(redis.call('HGET', r.links, long_of(digest)) or '', 'child=' .. long_of(index), 1, true)
  end
  if live and lists(digest_of(live)) then return digest_of(live) end
  for digest in string.gmatch(revisions, '%d+:(%S+)') do
    if lists(digest) then return digest end
  end
  return index
end

local function drop_parts(r, tag, index, links)
  local known, live, parts, order = redis.call('HGET', r.revisions, tag) or '', redis.call('HGET', r.live, tag), {}, {}
  local outer = outermost(r, live, index, known)
  local pushed_us = points_at(live, outer) and redis.call('ZSCORE', r.tags, tag)
  for child in string.gmatch(links, 'child=(%S+)') do parts[short_of(child)] = true end
  for time, digest in string.gmatch(known, '(%d+):(%S+)') do
    if digest == outer and not pushed_us then pushed_us = time end
    local age_us = parts[digest] and pushed_us and tonumber(pushed_us) - tonumber(time)
    if not age_us or age_us > ONE_PUSH_US then order[#order + 1] = time .. ':' .. digest end
  end
  if #order == 0 then redis.call('HDEL', r.revisions, tag) return end
  redis.call('HSET', r.revisions, tag, table.concat(order, ' '))
end
