-- How many tags some repositories have, when the last was pushed, and how much of them is to go. Changes nothing.
--
-- KEYS  per repository, 3 each: tags:R  doomed:R  dry_run:R
-- ARGV  none
-- Result per repository, 4 each: tags (count), the time of the last push (µs, as text; '0' = none was seen), doomed (count),
--        doomed in a dry run (count)
local answer = {}
for i = 1, #KEYS, 3 do
  local newest = redis.call('ZREVRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  answer[#answer + 1] = redis.call('ZCARD', KEYS[i])
  answer[#answer + 1] = newest[2] or '0'
  answer[#answer + 1] = redis.call('HLEN', KEYS[i + 1])
  answer[#answer + 1] = redis.call('HLEN', KEYS[i + 2])
end
return answer
