-- Forgets a repository that notifications named and that has no tag at the registry.
--
-- KEYS  unseen tags:R live:R pulled:R untagged:R revisions:R created:R layers:R voided:R links:R doomed:R dry_run:R hold:R
--       approvals:R manual:R manual_deleted:R heal:R touched:R untagging:R own_puts:R history:R trash:R generation compared due doomed
--       healing unconfirmed unapproved planned
-- ARGV  1 repository  2 for how long it must have been known (ms)
-- Result 1 if it was forgotten, else 0
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local heard = redis.call('ZSCORE', all.unseen, ARGV[1])
if not heard or tonumber(heard) > now_ms - tonumber(ARGV[2]) then return 0 end
if redis.call('ZCARD', r.tags) > 0 or redis.call('EXISTS', r.trash) == 1 then return 0 end
redis.call('DEL', r.tags, r.live, r.pulled, r.untagged, r.revisions, r.created, r.layers, r.voided, r.links, r.doomed, r.dry_run,
           r.hold, r.approvals, r.manual, r.manual_deleted, r.heal, r.touched, r.untagging, r.own_puts, r.history)
redis.call('HDEL', all.generation, ARGV[1])
redis.call('HDEL', all.compared, ARGV[1])
redis.call('HDEL', all.unapproved, ARGV[1])
redis.call('HDEL', all.planned, ARGV[1])
redis.call('ZREM', all.due, ARGV[1])
redis.call('ZREM', all.doomed, ARGV[1])
redis.call('ZREM', all.healing, ARGV[1])
redis.call('SREM', all.unconfirmed, ARGV[1])
redis.call('ZREM', all.unseen, ARGV[1])
return 1
