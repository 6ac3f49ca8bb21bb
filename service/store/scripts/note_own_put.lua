-- Notes, right before a PUT of ours, what it puts under a tag: should a user's push cross it, it is known which is ours,
-- and that what he takes the place of is there again.
--
-- KEYS  own_puts:R voided:R
-- ARGV  1 tag  2 digest  3 short digest
-- Result 1
local clock = redis.call('TIME')
redis.call('HSET', r.own_puts, ARGV[1], ARGV[2] .. ' ' .. string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000)))
redis.call('EXPIRE', r.own_puts, 86400)
redis.call('ZREM', r.voided, '@' .. ARGV[3])
return 1
