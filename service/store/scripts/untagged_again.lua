-- Notes that a tag is off again which a healing of ours had put back after its user deleted it: the manifest that came
-- back with it goes as well, unless it is known already why it stands there.
--
-- KEYS  untagged:R generation due
-- ARGV  1 repository  2 tag  3 short digest of what stood there  4 resend after (ms)
-- Result 1 when the repository must be planned again, else 0

-- include bump
local clock = redis.call('TIME')
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
local noted = redis.call('HSETNX', r.untagged, ARGV[3], now_us .. ' ' .. ARGV[2] .. ' untagged')
if noted == 1 then
  bump(ARGV[1])
  redis.call('ZADD', all.due, 'LT', clock[1] * 1000 + tonumber(ARGV[4]), ARGV[1])
end
return noted
