-- Write entries of the journal of unlinked blobs.
--
-- KEYS  gc:unlinked
-- ARGV  is_begun  1 before their links are deleted: an earlier use is forgotten, as a claim looks for later ones itself.
--                 0 afterwards: a use since then is kept
--       entries(digest at)  at: "<storage_us> <redis_us>", or "?" before the links are deleted; with " used" if a manifest needs the blob
for _, entry in ipairs(entries) do
  local before, at = redis.call('HGET', all['gc:unlinked'], entry.digest), entry.at
  local was_used = is_begun ~= '1' and before and string.sub(before, -5) == ' used'
  if was_used and string.sub(at, -5) ~= ' used' then at = at .. ' used' end
  redis.call('HSET', all['gc:unlinked'], entry.digest, at)
end
return #entries
