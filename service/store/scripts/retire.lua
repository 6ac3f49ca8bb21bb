-- Forget a repository that has been empty for long: no tag, no manifest, nothing to do or to restore, and no news since a
-- given time. A push in between keeps it, because this is one step.
--
-- No plan made before can commit afterwards: the next generation starts at the clock, which is later than any before.
--
-- KEYS  tags:R live:R untagged:R links:R doomed:R dry_run:R hold:R manual:R heal:R trash:R deleted:R untagging:R leased:R
--       restored:R history:R pulled:R revisions:R created:R layers:R voided:R rejection:R approvals:R manual_deleted:R
--       touched:R own_puts:R dangling:R pushes:R generation compared unapproved unannounced planned due unseen
--       unconfirmed by_name by_push by_tags live_tags relabeled
-- ARGV  repository
--       quiet_ms  for how long there must have been no news
-- Result 1 if it was forgotten, else 0
-- include lib/clock
-- include lib/unindex
local used = redis.call('EXISTS', r.tags, r.live, r.untagged, r.links, r.doomed, r.dry_run, r.hold, r.manual, r.heal,
                        r.trash, r.deleted, r.untagging, r.leased, r.restored)
if used > 0 then return 0 end
local newest = redis.call('XREVRANGE', r.history, '+', '-', 'COUNT', 1)[1]
if not newest or tonumber(string.match(newest[1], '^%d+')) > now_ms - quiet_ms then return 0 end
redis.call('DEL', r.history, r.pulled, r.revisions, r.created, r.layers, r.voided, r.rejection, r.approvals,
           r.manual_deleted, r.touched, r.own_puts, r.dangling, r.pushes)
for _, hash in ipairs({all.generation, all.compared, all.unapproved, all.unannounced, all.planned, all.relabeled}) do
  redis.call('HDEL', hash, repository)
end
for _, zset in ipairs({all.due, all.unseen}) do redis.call('ZREM', zset, repository) end
redis.call('SREM', all.unconfirmed, repository)
unindex(repository)
return 1
