-- Notes that a tag was looked at, and why it was restored: what had begun to take it off is over, and so is its trouble.
--
-- KEYS  heal:R healing history:R events counters untagging:R deleted:R troubles
-- ARGV  1 repository  2 member of heal:R  3 tag  4 digest  5 reason ('' = it pointed at the right digest)
--       6 history entries kept  7 events kept  8 time of the member when the look began: asked for again since then, it
--       is looked at again  9 short digest  10 the trouble's name
-- Result the number of members that are left
local asked = redis.call('ZSCORE', r.heal, ARGV[2])
if not asked then return redis.call('ZCARD', r.heal) end  -- noted before
if tonumber(asked) == tonumber(ARGV[8]) then redis.call('ZREM', r.heal, ARGV[2]) end
redis.call('HDEL', r.untagging, ARGV[3])
if redis.call('HDEL', all.troubles, ARGV[10]) == 1 then redis.call('HDEL', r.deleted, ARGV[3] .. ' ' .. ARGV[9]) end
local left = redis.call('ZCARD', r.heal)
if left == 0 then redis.call('ZREM', all.healing, ARGV[1]) end
if ARGV[5] ~= '' then
  redis.call('HINCRBY', all.counters, 'healed', 1)
  local clock = redis.call('TIME')
  local fields = {'action', 'healed', 'tag', ARGV[3], 'digest', ARGV[4], 'size', '0', 'actor', 'pushprune', 'agent', '',
                  'address', '', 'at_us', string.format('%.0f', clock[1] * 1000000 + clock[2]), 'reason', ARGV[5],
                  'rule', '', 'media', ''}
  redis.call('XADD', r.history, 'MAXLEN', '~', ARGV[6], '*', unpack(fields))
  redis.call('XADD', all.events, 'MAXLEN', '~', ARGV[7], '*', 'repository', ARGV[1], unpack(fields))
end
return left
