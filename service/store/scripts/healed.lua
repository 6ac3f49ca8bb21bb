-- Note that a tag was checked, and why it was restored. Its deletion is over then, and so is its trouble.
--
-- KEYS  heal:R healing history:R events dictionary counters untagging:R deleted:R troubles
-- ARGV  repository
--       member           of heal:R
--       tag
--       digest
--       short
--       reason           '' = it pointed at the right digest
--       history_entries
--       event_entries
--       asked_ms         time of the member when the check began. A check that was requested later stays open.
--       trouble          the name of its trouble
-- Result the number of members that are left
-- include lib/clock
-- include lib/short
-- include lib/entry
local score = redis.call('ZSCORE', r.heal, member)
if not score then return redis.call('ZCARD', r.heal) end  -- noted before
if tonumber(score) == tonumber(asked_ms) then redis.call('ZREM', r.heal, member) end
redis.call('HDEL', r.untagging, tag)
if redis.call('HDEL', all.troubles, trouble) == 1 then redis.call('HDEL', r.deleted, tag .. ' ' .. short) end
local left = redis.call('ZCARD', r.heal)
if left == 0 then redis.call('ZREM', all.healing, repository) end
if reason ~= '' then
  redis.call('HINCRBY', all.counters, 'healed', 1)
  add_entry(r.history, repository, 'healed', {tag = tag, digest = digest, actor = 'pushprune'}, reason)
end
return left
