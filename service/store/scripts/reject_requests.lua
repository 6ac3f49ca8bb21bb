-- Notes why nobody follows what was requested manually, or drops what says nothing any more.
--
-- KEYS  manual:R
-- ARGV  per ask: tag or "@<short digest>", its JSON, its JSON with the reason ('' = drop it)
-- Result how many were as they had been
local answered = 0
for i = 1, #ARGV, 3 do
  if redis.call('HGET', r.manual, ARGV[i]) == ARGV[i + 1] then
    answered = answered + 1
    if ARGV[i + 2] == '' then redis.call('HDEL', r.manual, ARGV[i])
    else redis.call('HSET', r.manual, ARGV[i], ARGV[i + 2]) end
  end
end
return answered
