-- Everything a plan needs, read at one moment; leases that are over are dropped, and what went by hand a day ago.
--
-- KEYS  tags:R live:R links:R approvals:R heal:R generation compared restarts last_notification pulled:R untagged:R revisions:R
--       created:R leased:R voided:R hold:R manual:R manual_deleted:R unapproved policy troubles capabilities
--       restored:R unconfirmed planned
-- ARGV  1 repository
-- Result {generation, epoch it was compared in, restarts, [tag, time, …], [tag, standing, …], [digest, links, …],
--         [approved digest, …], [member of heal:R, its time, …], [tag or @digest, time of its last pull, …],
--         [digest, since and tag, …], [tag, its overwritten digests, …], [digest, creation, …], [digest, lease, …],
--         [tag or @digest that is gone, …], the plan that waits or nil, [tag or @digest, who wants it gone, …],
--         [digest that went by hand, …], how long ago the registry told of anything, or this one was
--         compared with it (ms), what needs an approval or nil, digest of the policy last put in force or nil,
--         names of all troubles, 1 while the registry is known to hide tags, else 0, [digest, restore, …], 1 if a tag was
--         reported as deleted since the tags were last confirmed, the newest push that the last plan decided about or nil}
local repository = ARGV[1]
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local compared_ms = math.floor(tonumber(string.match(redis.call('HGET', all.compared, repository) or '', ' (%d+)$') or 0) / 1000)
redis.call('ZREMRANGEBYSCORE', r.leased, '-inf', now_ms)
redis.call('ZREMRANGEBYSCORE', r.restored, '-inf', now_ms)
redis.call('ZREMRANGEBYSCORE', r.manual_deleted, '-inf', string.format('%.0f', (now_ms - 86400000) * 1000))
local restarts = redis.call('GET', all.restarts) or '0'
local since, until_ms = string.match(redis.call('HGET', all.capabilities, 'list every tag') or '', '^(%S+) no (%d+)$')
local hides = since == restarts and tonumber(until_ms) > now_ms
return {
  redis.call('HGET', all.generation, repository) or '0',
  redis.call('HGET', all.compared, repository) or '',
  restarts,
  redis.call('ZRANGE', r.tags, 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', r.live),
  redis.call('HGETALL', r.links),
  redis.call('ZRANGEBYSCORE', r.approvals, now_ms, '+inf'),
  redis.call('ZRANGEBYSCORE', r.heal, '-inf', now_ms, 'WITHSCORES'),
  redis.call('ZRANGE', r.pulled, 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', r.untagged),
  redis.call('HGETALL', r.revisions),
  redis.call('HGETALL', r.created),
  redis.call('ZRANGE', r.leased, 0, -1, 'WITHSCORES'),
  redis.call('ZRANGE', r.voided, 0, -1),
  redis.call('GET', r.hold),
  redis.call('HGETALL', r.manual),
  redis.call('ZRANGE', r.manual_deleted, 0, -1),
  now_ms - math.max(tonumber(redis.call('GET', all.last_notification) or 0), compared_ms),
  redis.call('HGET', all.unapproved, repository),
  redis.call('GET', all.policy),
  redis.call('HKEYS', all.troubles),
  hides and 1 or 0,
  redis.call('ZRANGE', r.restored, 0, -1, 'WITHSCORES'),
  redis.call('SISMEMBER', all.unconfirmed, repository),
  redis.call('HGET', all.planned, repository),
}
