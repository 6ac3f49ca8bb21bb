-- Note that a tag, or a part of an index, which a delete by pushprune removed could not be restored, and why. What the
-- registry refuses only now is tried again later, and can be restored manually. A final refusal is an entry of the history.
--
-- KEYS  heal:R healing history:R events dictionary counters untagging:R deleted:R troubles live:R tags:R
-- ARGV  repository
--       member           of heal:R
--       name             the tag, or the digest of an index
--       digest
--       short
--       history_entries
--       event_entries
--       asked_ms         time of the member when the check began. A check that was requested later stays open.
--       trouble          the name of its trouble
--       message          as JSON text
--       reason           for the history
--       deleted_reason   for deleted:R
--       final            1 if it is not tried again
--       first_ms         the first wait
--       longest_ms       the longest wait
--       deleted_s        how long a deletion can be restored
--       final_start      how every final message begins
-- Result 1 if that was not known before, else 0
-- include lib/clock
-- include lib/short
-- include lib/entry
-- include lib/live
-- include lib/restorable
local is_final = final == '1'
local field = name .. ' ' .. short
local is_known = redis.call('HGET', r.deleted, field)

-- The trouble keeps the time at which it began.
local before = redis.call('HGET', all.troubles, trouble)
local since_ms = before and string.match(before, '"at_ms": (%d+)') or string.format('%.0f', now_ms)
redis.call('HSET', all.troubles, trouble, '{"message": ' .. message .. ', "at_ms": ' .. since_ms .. '}')

local score = redis.call('ZSCORE', r.heal, member)
if score and tonumber(score) == tonumber(asked_ms) then
  if is_final then
    redis.call('ZREM', r.heal, member)
  else
    -- As long as the trouble has lasted already, so the waits double.
    local wait_ms = math.min(math.max(now_ms - tonumber(since_ms), tonumber(first_ms)), tonumber(longest_ms))
    redis.call('ZADD', r.heal, now_ms + wait_ms, member)
  end
end
local next_check = redis.call('ZRANGE', r.heal, 0, 0, 'WITHSCORES')
if next_check[2] then redis.call('ZADD', all.healing, next_check[2], repository)
else redis.call('ZREM', all.healing, repository) end

local live = redis.call('HGET', r.live, name)
if is_final then
  redis.call('HDEL', r.untagging, name)
  redis.call('HDEL', r.deleted, field)
elseif not is_known and points_at(live, short) then
  local pushed_us = string.format('%.0f', redis.call('ZSCORE', r.tags, name) or '0')
  note_restorable(r, field, short, pushed_us, size_of(live), deleted_reason)
end
if is_final and not (before and string.find(before, '"message": "' .. final_start, 1, true)) then
  redis.call('HINCRBY', all.counters, 'lost', 1)
  add_entry(r.history, repository, 'lost', {tag = name, digest = digest, actor = 'pushprune'}, reason)
end
return before and 0 or 1
