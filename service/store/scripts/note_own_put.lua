-- Note, right before pushprune sends a PUT, which digest it puts under a tag. If a push by a user meets the PUT, it is
-- known which of them is ours. The digest exists again from now on.
--
-- KEYS  own_puts:R voided:R
-- ARGV  tag
--       digest
--       short_digest
-- Result 1
-- include lib/clock
redis.call('HSET', r.own_puts, tag, digest .. ' ' .. string.format('%.0f', now_ms))
redis.call('EXPIRE', r.own_puts, 86400)
redis.call('ZREM', r.voided, '@' .. short_digest)
return 1
