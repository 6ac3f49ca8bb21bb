-- Note why manual deletions are rejected, or drop those that are obsolete. A request that was renewed meanwhile stays.
--
-- KEYS  manual:R
-- ARGV  requests(name before after)  name: tag or "@<short digest>"; before, after: its JSON, without and with the reason;
--         after = '': drop it
-- Result the number of requests that had not changed
local count = 0
for _, request in ipairs(requests) do
  if redis.call('HGET', r.manual, request.name) == request.before then
    count = count + 1
    if request.after == '' then redis.call('HDEL', r.manual, request.name)
    else redis.call('HSET', r.manual, request.name, request.after) end
  end
end
return count
