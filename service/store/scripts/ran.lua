-- Records how an attempt at a collection ended. One that must be tried again says so once: what was said of this want
-- before is only counted, so that the record does not fill with repetitions.
--
-- KEYS  1 gc:runs  2 gc:totals  3 gc:waiting  4 gc:retry
-- ARGV  1 runs kept  2 result  3 message  4 only once (1)  5 ask again after (ms; 0 = as it is)  6 blobs  7 bytes
--       8 ended (ms)  9 took (ms); then the fields of the entry, each with its value
-- Result 1 when it was recorded, 0 when it was only counted
local result, message, now_ms = ARGV[2], ARGV[3], ARGV[8]
if tonumber(ARGV[5]) > 0 then redis.call('SET', KEYS[4], '1', 'PX', ARGV[5]) end
if ARGV[4] == '1' then
  redis.call('HSETNX', KEYS[3], 'since_ms', now_ms)
  redis.call('HSET', KEYS[3], 'last', message, 'at_ms', now_ms)
  -- Sentences name repositories and digests: what a want was told in more ways than these is counted under the last.
  local said = 'said ' .. message
  if redis.call('HEXISTS', KEYS[3], said) == 0 and redis.call('HLEN', KEYS[3]) >= 53 then said = 'said …' end
  if redis.call('HINCRBY', KEYS[3], said, 1) > 1 then return 0 end
end
redis.call('HINCRBY', KEYS[2], 'runs ' .. result, 1)
if result == 'done' then
  redis.call('HINCRBY', KEYS[2], 'blobs', ARGV[6])
  redis.call('HINCRBY', KEYS[2], 'bytes', ARGV[7])
  redis.call('HSET', KEYS[2], 'done_ms', now_ms, 'took_ms', ARGV[9])
  redis.call('DEL', KEYS[3])
end
local fields = {}
for i = 10, #ARGV do fields[#fields + 1] = ARGV[i] end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(fields))
return 1
