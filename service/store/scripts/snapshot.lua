-- Return everything that a plan needs, read at one moment. Ended leases, and manual deletions from more than a day ago, are
-- dropped.
--
-- KEYS  tags:R live:R links:R approvals:R heal:R generation compared restarts last_notification pulled:R untagged:R
--       revisions:R created:R leased:R voided:R hold:R manual:R manual_deleted:R unapproved policy troubles capabilities
--       restored:R unconfirmed planned
-- ARGV  repository
-- Result the fields of `unpack_snapshot`: name, value, name, value, …
-- include lib/clock
local compared = redis.call('HGET', all.compared, repository) or ''
local compared_ms = math.floor(tonumber(string.match(compared, ' (%d+)$') or 0) / 1000)
redis.call('ZREMRANGEBYSCORE', r.leased, '-inf', now_ms)
redis.call('ZREMRANGEBYSCORE', r.restored, '-inf', now_ms)
redis.call('ZREMRANGEBYSCORE', r.manual_deleted, '-inf', string.format('%.0f', (now_ms - 86400000) * 1000))
local restarts = redis.call('GET', all.restarts) or '0'
local since, until_ms = string.match(redis.call('HGET', all.capabilities, 'list every tag') or '', '^(%S+) no (%d+)$')
local hides_tags = since == restarts and tonumber(until_ms) > now_ms
return {
  'generation', redis.call('HGET', all.generation, repository) or '0',
  'compared', compared,
  'restarts', restarts,
  'tags', redis.call('ZRANGE', r.tags, 0, -1, 'WITHSCORES'),
  'live', redis.call('HGETALL', r.live),
  'links', redis.call('HGETALL', r.links),
  'approvals', redis.call('ZRANGEBYSCORE', r.approvals, now_ms, '+inf'),
  'heal', redis.call('ZRANGEBYSCORE', r.heal, '-inf', now_ms, 'WITHSCORES'),
  'pulled', redis.call('ZRANGE', r.pulled, 0, -1, 'WITHSCORES'),
  'untagged', redis.call('HGETALL', r.untagged),
  'revisions', redis.call('HGETALL', r.revisions),
  'created', redis.call('HGETALL', r.created),
  'leased', redis.call('ZRANGE', r.leased, 0, -1, 'WITHSCORES'),
  'restored', redis.call('ZRANGE', r.restored, 0, -1, 'WITHSCORES'),
  'voided', redis.call('ZRANGE', r.voided, 0, -1),
  'hold', redis.call('GET', r.hold),
  'manual', redis.call('HGETALL', r.manual),
  'manual_deleted', redis.call('ZRANGE', r.manual_deleted, 0, -1),
  'silent_ms', now_ms - math.max(tonumber(redis.call('GET', all.last_notification) or 0), compared_ms),
  'unapproved', redis.call('HGET', all.unapproved, repository),
  'policy', redis.call('GET', all.policy),
  'troubles', redis.call('HKEYS', all.troubles),
  'hides_tags', hides_tags and 1 or 0,
  'unconfirmed', redis.call('SISMEMBER', all.unconfirmed, repository),
  'planned', redis.call('HGET', all.planned, repository),
}
