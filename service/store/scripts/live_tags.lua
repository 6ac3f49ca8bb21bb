-- Count the live tags of repositories. Changes nothing.
--
-- KEYS  tags:EACH
-- ARGV  repositories...
-- Result for each repository: tags, the time of the last push (µs, as text; '0' if none was seen)
local answer = {}
for _, r in ipairs(each) do
  answer[#answer + 1] = redis.call('ZCARD', r.tags)
  answer[#answer + 1] = redis.call('ZREVRANGE', r.tags, 0, 0, 'WITHSCORES')[2] or '0'
end
return answer
