-- Count a change that a user requests, if the limit of this minute is not reached.
--
-- KEYS  change_limit
-- ARGV  per_minute
-- Result {1 if it may be made, else 0; ms until the next one may be made}
local count = tonumber(redis.call('GET', all.change_limit) or 0)
if count >= tonumber(per_minute) then
  return {0, math.max(redis.call('PTTL', all.change_limit), 0)}
end
redis.call('INCR', all.change_limit)
if count == 0 then redis.call('PEXPIRE', all.change_limit, 60000) end
return {1, 0}
