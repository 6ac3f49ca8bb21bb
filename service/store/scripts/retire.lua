-- Forgets a repository that has been empty for long: no tag, nothing without a tag, nothing that is to be done or restored,
-- and no news of it since a given time. A push in between keeps it: this is one step.
--
-- No plan made before can commit afterwards: the next generation starts at the clock, which is later than any before.
--
-- KEYS  tags:R live:R untagged:R links:R doomed:R dry_run:R hold:R manual:R heal:R trash:R deleted:R untagging:R leased:R restored:R
--       history:R pulled:R revisions:R created:R layers:R voided:R rejection:R approvals:R manual_deleted:R touched:R own_puts:R dangling:R
--       generation compared unapproved unannounced planned due unseen unconfirmed
-- ARGV  1 repository  2 how long there was no news (ms)
-- Result 1 forgotten, 0 it stays
local held = redis.call('EXISTS', r.tags, r.live, r.untagged, r.links, r.doomed, r.dry_run, r.hold, r.manual, r.heal, r.trash,
                        r.deleted, r.untagging, r.leased, r.restored)
if held > 0 then return 0 end
local newest = redis.call('XREVRANGE', r.history, '+', '-', 'COUNT', 1)[1]
local clock = redis.call('TIME')
local until_ms = clock[1] * 1000 + math.floor(clock[2] / 1000) - tonumber(ARGV[2])
if not newest or tonumber(string.match(newest[1], '^%d+')) > until_ms then return 0 end
redis.call('DEL', r.history, r.pulled, r.revisions, r.created, r.layers, r.voided, r.rejection, r.approvals, r.manual_deleted, r.touched,
           r.own_puts, r.dangling)
for _, of_all in ipairs({all.generation, all.compared, all.unapproved, all.unannounced, all.planned}) do redis.call('HDEL', of_all, ARGV[1]) end
redis.call('ZREM', all.due, ARGV[1])
redis.call('ZREM', all.unseen, ARGV[1])
redis.call('SREM', all.unconfirmed, ARGV[1])
return 1
