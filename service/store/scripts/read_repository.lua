-- Return everything that a backup holds of one repository, read at one moment. Its history is read afterwards, up to the
-- entry that is the newest now.
--
-- KEYS  tags:R pulled:R leased:R restored:R approvals:R live:R untagged:R revisions:R created:R layers:R links:R dry_run:R
--       trash:R deleted:R hold:R rejection:R history:R generation compared planned unapproved unannounced sizes unseen
--       unconfirmed held trashed
-- ARGV  repository
-- Result {name of a key, when it expires (ms; '' = never), value, …}. A value is a text; or a list: of a hash field, value,
--        …; of a zset member, score, …. history: the id of its newest entry.
-- include lib/clock
local result = {}

local function add(name, value, key)
  if not value or #value == 0 then return end
  local left_ms = key and redis.call('PTTL', key) or -1
  result[#result + 1] = name
  result[#result + 1] = left_ms > 0 and string.format('%.0f', now_ms + left_ms) or ''
  result[#result + 1] = value
end

local trashed, digests = {}, redis.call('HKEYS', r.trash)
digests[#digests + 1] = '-'
for _, digest in ipairs(digests) do
  local member = repository .. ' ' .. digest
  local score = redis.call('ZSCORE', all.trashed, member)
  if score then
    trashed[#trashed + 1] = member
    trashed[#trashed + 1] = score
  end
end

add('generation', redis.call('HGET', all.generation, repository))
add('compared', redis.call('HGET', all.compared, repository))
add('planned', redis.call('HGET', all.planned, repository))
add('unapproved', redis.call('HGET', all.unapproved, repository))
add('unannounced', redis.call('HGET', all.unannounced, repository))
add('sizes', redis.call('HGET', all.sizes, repository))
add('unseen', redis.call('ZSCORE', all.unseen, repository))
if redis.call('SISMEMBER', all.unconfirmed, repository) == 1 then add('unconfirmed', '1') end
if redis.call('SISMEMBER', all.held, repository) == 1 then add('held', '1') end
add('hold', redis.call('GET', r.hold), r.hold)
add('rejection', redis.call('GET', r.rejection), r.rejection)
add('tags', redis.call('ZRANGE', r.tags, 0, -1, 'WITHSCORES'), r.tags)
add('live', redis.call('HGETALL', r.live), r.live)
add('pulled', redis.call('ZRANGE', r.pulled, 0, -1, 'WITHSCORES'), r.pulled)
add('leased', redis.call('ZRANGE', r.leased, 0, -1, 'WITHSCORES'), r.leased)
add('restored', redis.call('ZRANGE', r.restored, 0, -1, 'WITHSCORES'), r.restored)
add('approvals', redis.call('ZRANGE', r.approvals, 0, -1, 'WITHSCORES'), r.approvals)
add('untagged', redis.call('HGETALL', r.untagged), r.untagged)
add('revisions', redis.call('HGETALL', r.revisions), r.revisions)
add('created', redis.call('HGETALL', r.created), r.created)
add('layers', redis.call('HGETALL', r.layers), r.layers)
add('links', redis.call('HGETALL', r.links), r.links)
add('dry_run', redis.call('HGETALL', r.dry_run), r.dry_run)
add('trash', redis.call('HGETALL', r.trash), r.trash)
add('deleted', redis.call('HGETALL', r.deleted), r.deleted)
add('trashed', trashed)
add('history', (redis.call('XREVRANGE', r.history, '+', '-', 'COUNT', 1)[1] or {})[1])
return result
