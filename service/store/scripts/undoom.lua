-- Take a digest off the doomed ones without deleting it, and make its repository due for a new plan.
--
-- KEYS  doomed:R doomed revisions:R generation due by_name by_push by_tags
-- ARGV  repository
--       short_digest
--       resend_ms
-- Result 1 if it was doomed, else 0
-- include lib/clock
-- include lib/bump
-- include lib/doomed
-- include lib/spare
-- include lib/due
local was_doomed = spare(r, repository, short_digest)
bump(repository)
make_due(repository)
return was_doomed and 1 or 0
