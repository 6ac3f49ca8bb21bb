-- Notes that a tag was looked at, and what was put back: what had begun to take it off is over.
--
-- KEYS  1 heal:R  2 healing  3 history:R  4 events  5 counters  6 taking:R
-- ARGV  1 repository  2 member of heal:R  3 tag  4 digest  5 reason ('' = it stood right)  6 history entries kept
--       7 events kept  8 time of the member when the look began: asked for again since then, it is looked at again
--       9 action
-- Result the number of members that are left
local asked = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not asked then return redis.call('ZCARD', KEYS[1]) end  -- noted before
if tonumber(asked) == tonumber(ARGV[8]) then redis.call('ZREM', KEYS[1], ARGV[2]) end
redis.call('HDEL', KEYS[6], ARGV[3])
local left = redis.call('ZCARD', KEYS[1])
if left == 0 then redis.call('ZREM', KEYS[2], ARGV[1]) end
if ARGV[5] ~= '' then
  redis.call('HINCRBY', KEYS[5], ARGV[9], 1)
  local clock = redis.call('TIME')
  local fields = {'action', ARGV[9], 'tag', ARGV[3], 'digest', ARGV[4], 'size', '0', 'actor', 'pushprune', 'agent', '',
                  'address', '', 'at_us', string.format('%.0f', clock[1] * 1000000 + clock[2]), 'reason', ARGV[5],
                  'rule', '', 'media', ''}
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', unpack(fields))
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[7], '*', 'repository', ARGV[1], unpack(fields))
end
return left
