-- Note what was learnt about manifests: their references, or that they do not exist.
--
-- KEYS  links:R generation untagged:R layers:R due live:R pushes:R by_name by_push by_tags relabeled
--       counters tags:R revisions:R
-- ARGV  repository
--       made_from  the generation at which the look began
--       resend_ms
--       learnt(digest short links)  links: as in links:R, without its time; 'missing' counts only if nothing happened since
--         (its parts lose their index, but are not deleted with it, because a failed look proves nothing); '?' = an index
--         that was found inside another, and that no worker has read
--       moved(tag index short)  tags that pointed at parts of these indexes
--       referrers(digest short pushed_us links)  without a tag, whose push was not reported
-- Result the number of entries that changed
-- include lib/clock
-- include lib/bump
-- include lib/due
-- include lib/pushes
-- include lib/short
-- include lib/live
-- include lib/relabel
-- include lib/revisions

-- Have the tags that point at missing digests read again, should these come back: their references are not known any more.
local function unprove(missing)
  if not next(missing) then return end
  local tags = redis.call('HGETALL', r.live)
  for i = 1, #tags, 2 do
    local digest, size, mark, actor = parts_of(tags[i + 1])
    if mark == '!' and missing[digest] then relabel(r, repository, tags[i], digest .. size .. ':' .. actor) end
  end
end

local changes, reads, missing = 0, 0, {}
local is_undisturbed = (redis.call('HGET', all.generation, repository) or '0') == made_from
for _, manifest in ipairs(learnt) do
  local digest, short, links = manifest.digest, manifest.short, manifest.links
  if links == 'missing' then
    if is_undisturbed then
      for child in string.gmatch(redis.call('HGET', r.links, digest) or '', 'child=(%S+)') do
        redis.call('HSET', r.untagged, child, now_us .. ' ')
        make_due(repository)
      end
      changes = changes + redis.call('HDEL', r.links, digest)
      changes = changes + redis.call('HDEL', r.untagged, digest, short)
      redis.call('HDEL', r.layers, short)
      missing[pack_digest(short)] = true
    end
  elseif links == '?' then
    changes = changes + redis.call('HSETNX', r.links, digest, '0 ?')
  else
    local known = redis.call('HGET', r.links, digest)
    local time = known and string.match(known, '^%d+') or '0'
    redis.call('HSET', r.links, digest, time .. ' ' .. links)
    reads = reads + 1
    note_push(r, bump(repository), short, '', false)
  end
end
unprove(missing)
for _, row in ipairs(moved) do drop_parts(r, row.tag, row.short, redis.call('HGET', r.links, row.index) or '') end
for _, manifest in ipairs(referrers) do
  if redis.call('HSETNX', r.links, manifest.digest, manifest.pushed_us .. ' ' .. manifest.links) == 1 then
    if redis.call('HLEN', r.untagged) < 10000 then
      redis.call('HSETNX', r.untagged, manifest.short, manifest.pushed_us .. ' ')
    else
      redis.call('HINCRBY', all.counters, 'forgotten', 1)
    end
    make_due(repository)
    changes = changes + 1
  end
end
if changes > 0 then bump(repository) end
return changes + reads
