-- Have tags checked now, after a DELETE that failed: the registry may have done it nevertheless.
--
-- KEYS  heal:R healing
-- ARGV  repository
--       resend_ms
--       members...  tags, or digests of indexes
-- Result the time of these checks (ms)
-- include lib/clock
-- include lib/heal
for _, member in ipairs(members) do check_at(r, repository, member, now_ms, now_ms + resend_ms) end
return now_ms
