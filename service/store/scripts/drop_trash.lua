-- Forget deletions of a repository that can no longer be restored. A manifest that is still to be deleted, and has only
-- lost its tags, exists at the registry with everything it needs, and is kept in the trash.
--
-- KEYS  trash:R deleted:R trashed doomed:R untagged:R
-- ARGV  repository
--       before_us   entries of the trash from this time or later are kept
--       expired_us  entries of deleted:R from before this time are dropped in any case; 0 = none
--       manifests(digest short)  digest: '-' = only tags were deleted
-- Result the number of deletions that became final
-- include lib/clock
local dropped = {}
for _, manifest in ipairs(manifests) do
  local digest, member = manifest.digest, repository .. ' ' .. manifest.digest
  local trashed_us = tonumber(redis.call('ZSCORE', all.trashed, member) or -1)
  if trashed_us < tonumber(before_us) then
    local is_needed = redis.call('HEXISTS', r.doomed, manifest.short) == 1
      or string.find(redis.call('HGET', r.untagged, manifest.short) or '', ' untagged', 1, true)
    if digest ~= '-' and is_needed and expired_us == '0' then
      redis.call('ZADD', all.trashed, now_us, member)
    else
      redis.call('ZREM', all.trashed, member)
      if digest ~= '-' then
        dropped[manifest.short] = true
        redis.call('HDEL', r.trash, digest)
      end
    end
  end
end
local deleted, final = redis.call('HGETALL', r.deleted), 0
for i = 1, #deleted, 2 do
  local short, at_us = string.match(deleted[i + 1], '^(%S+) %S+ (%d+)')
  if dropped[short] or tonumber(at_us) < tonumber(expired_us) then
    final = final + redis.call('HDEL', r.deleted, deleted[i])
  end
end
return final
