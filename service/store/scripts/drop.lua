-- Forgets what was deleted of one repository, because it can no longer be put back.
--
-- KEYS  1 trash:R  2 deleted:R  3 trashed
-- ARGV  1 repository; then the digests ('-' = only tags went), each with its short form
-- Result the number of digests
local gone = {}
for i = 2, #ARGV, 2 do
  gone[ARGV[i + 1]] = true
  redis.call('HDEL', KEYS[1], ARGV[i])
  redis.call('ZREM', KEYS[3], ARGV[1] .. ' ' .. ARGV[i])
end
local deleted = redis.call('HGETALL', KEYS[2])
for i = 1, #deleted, 2 do
  if gone[string.match(deleted[i + 1], '^%S+')] then redis.call('HDEL', KEYS[2], deleted[i]) end
end
return (#ARGV - 1) / 2
