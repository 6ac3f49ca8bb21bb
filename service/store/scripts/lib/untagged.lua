-- untagged:R: manifests that have lost a tag or their index. Needs the keys untagged:R, untagging:R, doomed:R, revisions:R
-- and counters.

-- Note that a manifest lost a tag, or was pushed without one. The latest loss counts. The plan finds out if another tag
-- still points at the manifest. Parts of an index are noted by their digest in full, all others by their short digest.
local function untag(r, digest, at_us, tag, mark)
  local known = redis.call('HGET', r.untagged, digest)
  if known and tonumber(string.match(known, '^%d+')) >= tonumber(at_us) then return end
  if not known and redis.call('HLEN', r.untagged) >= 10000 then
    redis.call('HDEL', r.untagged, redis.call('HRANDFIELD', r.untagged))
    redis.call('HINCRBY', all.counters, 'forgotten', 1)
  end
  redis.call('HSET', r.untagged, digest, at_us .. ' ' .. tag .. (mark or ''))
end

-- Return the mark for `untag` if pushprune has started to delete or untag this image, and nil if not. The tag may be
-- deleted already without a note of it. A user who moves or deletes the tag then does not want to keep the image; but if only
-- tags of the image are doomed, something else keeps it.
local function started_mark(r, tag, digest)
  local untagging = redis.call('HGET', r.untagging, tag)
  if untagging == digest .. ' deleted' then return ' started' end
  if untagging ~= digest then return nil end
  local doomed, known = redis.call('HGET', r.doomed, digest), redis.call('HGET', r.untagged, digest) or ''
  local is_started = doomed and not string.find(doomed, '"kept_as":', 1, true) or string.find(known, ' started', 1, true)
  return is_started and ' started' or nil
end

-- True if a DELETE at this time deleted a manifest without a tag. It lost its tag before the DELETE; or the tag left it
-- later, without a new push to the manifest in between. entry: its value in untagged:R.
local function was_deleted_at(r, entry, short, at_us)
  if tonumber(string.match(entry, '^%d+')) <= tonumber(at_us) then return true end
  local tag = string.match(entry, '^%d+ (%S+)')
  for time, known in string.gmatch(tag and redis.call('HGET', r.revisions, tag) or '', '(%d+):(%S+)') do
    if known == short then return tonumber(time) <= tonumber(at_us) end
  end
  return false
end
