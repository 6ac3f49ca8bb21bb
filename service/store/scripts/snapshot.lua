-- Everything a plan needs, read at one moment; leases that are over are dropped, and what went by hand a day ago.
--
-- KEYS  1 tags:R  2 live:R  3 links:R  4 approvals:R  5 heal:R  6 generation  7 compared  8 restarts  9 heard
--       10 pulled:R  11 untagged:R  12 revisions:R  13 created:R  14 leased:R  15 gone:R  16 held:R  17 asked:R
--       18 byhand:R
-- ARGV  1 repository
-- Result {generation, epoch it was compared in, restarts, [tag, time, …], [tag, standing, …], [digest, links, …],
--         [approved digest, …], [member of heal:R, its time, …], [tag or @digest, time of its last pull, …],
--         [digest, since and tag, …], [tag, its overwritten digests, …], [digest, creation, …], [digest, lease, …],
--         [tag or @digest that is gone, …], the plan that waits or nil, [tag or @digest, who wants it gone, …],
--         [digest that went by hand, …], how long ago the registry told of anything, or this one was
--         compared with it (ms)}
local repository = ARGV[1]
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local compared_ms = math.floor(tonumber(string.match(redis.call('HGET', KEYS[7], repository) or '', ' (%d+)$') or 0) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[14], '-inf', now_ms)
redis.call('ZREMRANGEBYSCORE', KEYS[18], '-inf', string.format('%.0f', (now_ms - 86400000) * 1000))
return {
  redis.call('HGET', KEYS[6], repository) or '0',
  redis.call('HGET', KEYS[7], repository) or '',
  redis.call('GET', KEYS[8]) or '0',
  redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', KEYS[2]),
  redis.call('HGETALL', KEYS[3]),
  redis.call('ZRANGEBYSCORE', KEYS[4], now_ms, '+inf'),
  redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now_ms, 'WITHSCORES'),
  redis.call('ZRANGE', KEYS[10], 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', KEYS[11]),
  redis.call('HGETALL', KEYS[12]),
  redis.call('HGETALL', KEYS[13]),
  redis.call('ZRANGE', KEYS[14], 0, -1, 'WITHSCORES'),
  redis.call('ZRANGE', KEYS[15], 0, -1),
  redis.call('GET', KEYS[16]),
  redis.call('HGETALL', KEYS[17]),
  redis.call('ZRANGE', KEYS[18], 0, -1),
  now_ms - math.max(tonumber(redis.call('GET', KEYS[9]) or 0), compared_ms),
}
