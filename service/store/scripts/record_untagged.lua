-- Manifests that lose a tag or an index, and the digests that a tag pointed at before.

-- A manifest has lost a tag, or was pushed without one: its clock starts, again if it is the later loss. Whether another
-- tag still holds it is for the plan to see. Parts of an index stand there by their whole digest, all else by the short.
local function untag(r, digest, at_us, tag, mark)
  local known = redis.call('HGET', r.untagged, digest)
  if known and tonumber(string.match(known, '^%d+')) >= tonumber(at_us) then return end
  if not known and redis.call('HLEN', r.untagged) >= 10000 then
    redis.call('HDEL', r.untagged, redis.call('HRANDFIELD', r.untagged))
  end
  redis.call('HSET', r.untagged, digest, at_us .. ' ' .. tag .. (mark or ''))
end

-- A delete of ours may have begun to take a tag off: it may be off already, and not noted. Where that image is
-- still to go, or gone, who takes the tag over or deletes it meanwhile does not make it stay. Returns the mark for `untag`.
local function begun(r, tag, digest)
  local taking = redis.call('HGET', r.untagging, tag)
  if taking == digest .. ' deleted' then return ' started' end
  if taking ~= digest then return nil end
  local known = redis.call('HGET', r.untagged, digest) or ''
  local goes = redis.call('HEXISTS', r.doomed, digest) == 1 or string.find(known, ' started', 1, true)
  return goes and ' started' or nil
end

-- What is doomed no longer, as it has lost a tag; what else is planned stays so.
local function undoom(r, digest)
  if redis.call('HDEL', r.doomed, digest) == 1 and redis.call('HLEN', r.doomed) == 0 then
    redis.call('ZREM', all.doomed, r.name)
  end
end

-- The digests that a tag pointed at before, each with the time of its last push, the newest first. Keeps those pushed
-- after `since`, without `current`, and with one more.
local function overwritten(r, tag, since, current, at_us, digest)
  local standing, pushed, order = redis.call('HGET', r.revisions, tag) or '', {}, {}
  if digest and since < 0 and tonumber(string.match(standing, '^%d+') or -1) < tonumber(at_us) then
    order[1] = at_us .. ':' .. digest
    for time, known in string.gmatch(standing, '(%d+):(%S+)') do
      if known ~= digest and known ~= current and #order < 100 then order[#order + 1] = time .. ':' .. known end
    end
    redis.call('HSET', r.revisions, tag, table.concat(order, ' '))
    return
  end
  for time, known in string.gmatch(standing, '(%d+):(%S+)') do pushed[known] = time end
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

-- The short form of a digest, as keys.py has it.
local BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
local function short_of(digest)
  local hexadecimal = string.match(digest, '^sha256:(%x+)$')
  if not hexadecimal or #hexadecimal ~= 64 then return digest end
  local text = {}
  for i = 1, 64, 3 do
    local bits = tonumber(string.sub(hexadecimal .. '00', i, i + 2), 16)
    for _, six in ipairs({math.floor(bits / 64), bits % 64}) do text[#text + 1] = string.sub(BASE64, six + 1, six + 1) end
  end
  return table.concat(text, '', 1, 43)
end

-- The parts of an index that is gone have lost what held them, unless they were deleted later themselves.
local function untag_children(r, known, at_us, index)
  for child in string.gmatch(known, 'child=(%S+)') do
    if void_until(r, '@' .. short_of(child)) < tonumber(at_us) then untag(r, child, at_us, '', ' part ' .. index) end
  end
end

-- True if a manifest without a tag was deleted by a DELETE at this time: it lost its tag before, or a tag left it after
-- that without a new push in between.
local function went(r, untagged, short, at_us)
  if tonumber(string.match(untagged, '^%d+')) <= at_us then return true end
  local tag = string.match(untagged, '^%d+ (%S+)')
  for time, known in string.gmatch(tag and redis.call('HGET', r.revisions, tag) or '', '(%d+):(%S+)') do
    if known == short then return tonumber(time) <= at_us end
  end
  return false
end
