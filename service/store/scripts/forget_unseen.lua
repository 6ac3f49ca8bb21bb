-- Forget a repository that is known only from events and has no tag at the registry.
--
-- KEYS  unseen tags:R live:R pulled:R untagged:R revisions:R created:R layers:R voided:R links:R doomed:R dry_run:R
--       hold:R approvals:R manual:R manual_deleted:R heal:R touched:R untagging:R own_puts:R history:R trash:R pushes:R
--       generation compared due doomed healing held unconfirmed unapproved planned shrunk by_name by_push by_tags
--       live_tags relabeled
-- ARGV  repository
--       known_ms  for how long it must have been known
-- Result 1 if it was forgotten, else 0
-- include lib/clock
-- include lib/unindex
local first_ms = redis.call('ZSCORE', all.unseen, repository)
if not first_ms or tonumber(first_ms) > now_ms - known_ms then return 0 end
if redis.call('ZCARD', r.tags) > 0 or redis.call('EXISTS', r.trash) == 1 then return 0 end
redis.call('DEL', r.tags, r.live, r.pulled, r.untagged, r.revisions, r.created, r.layers, r.voided, r.links, r.doomed,
           r.dry_run, r.hold, r.approvals, r.manual, r.manual_deleted, r.heal, r.touched, r.untagging, r.own_puts, r.history,
           r.pushes)
for _, hash in ipairs({all.generation, all.compared, all.unapproved, all.planned, all.shrunk, all.relabeled}) do
  redis.call('HDEL', hash, repository)
end
for _, zset in ipairs({all.due, all.doomed, all.healing, all.unseen}) do redis.call('ZREM', zset, repository) end
redis.call('SREM', all.unconfirmed, repository)
unindex(repository)
redis.call('SREM', all.held, repository)
return 1
