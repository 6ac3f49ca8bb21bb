-- Save a doomed manifest in the trash right before its DELETE is sent, or note that only tags of it are to be deleted; unless
-- it was rescued or planned anew meanwhile. Its tags are checked later in case the result is never recorded: a DELETE that
-- fails may have been done nevertheless. The image is noted for each tag: a user who moves the tag from now on does not
-- keep the image by that.
--
-- KEYS  doomed:R trash:R trashed heal:R healing touched:R restarts leased:R restored:R untagging:R
-- ARGV  repository
--       digest
--       short
--       entry      the JSON for trash:R; '' = the manifest stays; 'again' = it is in the trash already
--       life_s
--       again_ms   when to check the tags
--       restarts   of the registry, after which the history was compared
--       doomed     the JSON of doomed:R
--       closure... digests of which none may be leased: its own and those of its parts, at any depth
--       tags...
-- Result 1 saved: delete it; 0 rescued, or the registry restarted: leave it alone; 2 it is leased by now; 3 it is not in the
--        trash, and should be; 4 Redis has no room for it
-- include lib/clock
-- include lib/heal

-- The rest of the memory is for what users push: whoever may push could fill all of it with large manifests (4 MiB each, and
-- 6.4 MB here) that a policy deletes.
local function is_full()
  local memory = redis.call('INFO', 'memory')
  local limit = tonumber(string.match(memory, 'maxmemory:(%d+)') or 0)
  return limit > 0 and tonumber(string.match(memory, 'used_memory:(%d+)')) > 0.9 * limit
end

if redis.call('HGET', r.doomed, short) ~= doomed then return 0 end
if (redis.call('GET', all.restarts) or '0') ~= restarts then return 0 end
for _, leases in ipairs({r.leased, r.restored}) do
  if redis.call('EXISTS', leases) == 1 then
    for _, part in ipairs(closure) do
      if tonumber(redis.call('ZSCORE', leases, part) or 0) > now_ms then return 2 end
    end
  end
end
local member = repository .. ' -'
if entry ~= '' then
  member = repository .. ' ' .. digest
  if entry ~= 'again' then
    -- A deletion that was interrupted after this must still end: its tags may be moved or removed already.
    if redis.call('HEXISTS', r.trash, digest) == 0 and is_full() then return 4 end
    redis.call('HSET', r.trash, digest, entry)
  elseif redis.call('HEXISTS', r.trash, digest) == 0 then return 3 end
  redis.call('EXPIRE', r.trash, life_s)
end
redis.call('ZADD', all.trashed, now_us, member)
local check_ms = now_ms + again_ms
for _, tag in ipairs(tags) do
  check_at(r, repository, tag .. ' again', check_ms, check_ms)
  redis.call('ZADD', r.touched, now_ms, tag)
  redis.call('HSET', r.untagging, tag, short)
end
redis.call('EXPIRE', r.untagging, 86400)
redis.call('ZREMRANGEBYSCORE', r.touched, '-inf', now_ms - 86400000)
redis.call('EXPIRE', r.touched, 86400)
return 1
