-- Notes, right before a PUT of ours, what it puts under a tag: should a user's push cross it, it is known which is ours.
--
-- KEYS  1 put:R
-- ARGV  1 tag  2 digest
-- Result 1
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], 86400)
return 1
