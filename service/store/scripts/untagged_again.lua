-- Note that a tag was deleted again which healing had restored after its user deleted it. Its manifest came back with it and
-- is deleted as well, unless it is known already why it exists.
--
-- KEYS  untagged:R generation due by_name by_push by_tags
-- ARGV  repository
--       tag
--       short_digest  that the tag pointed at
--       resend_ms
-- Result 1 if the repository became due, else 0
-- include lib/clock
-- include lib/bump
-- include lib/due
local is_new = redis.call('HSETNX', r.untagged, short_digest, now_us .. ' ' .. tag .. ' untagged')
if is_new == 1 then
  bump(repository)
  make_due(repository)
end
return is_new
