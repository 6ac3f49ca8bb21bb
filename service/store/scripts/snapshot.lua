-- Everything a plan needs, read at one moment.
--
-- KEYS  1 tags:R  2 live:R  3 links:R  4 approved:R  5 heal:R  6 generation  7 compared  8 restarts
-- ARGV  1 repository
-- Result {generation, epoch it was compared in, restarts, [tag, time, …], [tag, standing, …], [digest, links, …],
--         [approved digest, …], [member of heal:R, its time, …]}
local repository = ARGV[1]
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
return {
  redis.call('HGET', KEYS[6], repository) or '0',
  redis.call('HGET', KEYS[7], repository) or '',
  redis.call('GET', KEYS[8]) or '0',
  redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', KEYS[2]),
  redis.call('HGETALL', KEYS[3]),
  redis.call('SMEMBERS', KEYS[4]),
  redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now_ms, 'WITHSCORES'),
}
