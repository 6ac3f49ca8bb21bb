-- Make a repository due for a plan. Returns 1 if it was not due already by then.
-- Needs lib/clock, the key due and the argument resend_ms.
local function make_due(repository)
  return redis.call('ZADD', all.due, 'LT', 'CH', now_ms + resend_ms, repository)
end
