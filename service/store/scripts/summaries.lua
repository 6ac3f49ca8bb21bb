-- Count the tags of repositories and their images to delete. Changes nothing.
--
-- KEYS  due tags:EACH doomed:EACH dry_run:EACH
-- ARGV  repositories...
-- Result for each repository: tags, the time of the last push (µs, as text; '0' if none was seen), doomed images, images
--        that would be deleted if there were no dry run, when it is planned again (ms, as text; '0': after the next push)
local answer = {}
for _, r in ipairs(each) do
  local newest = redis.call('ZREVRANGE', r.tags, 0, 0, 'WITHSCORES')
  answer[#answer + 1] = redis.call('ZCARD', r.tags)
  answer[#answer + 1] = newest[2] or '0'
  answer[#answer + 1] = redis.call('HLEN', r.doomed)
  answer[#answer + 1] = redis.call('HLEN', r.dry_run)
  answer[#answer + 1] = redis.call('ZSCORE', all.due, r.name) or '0'
end
return answer
