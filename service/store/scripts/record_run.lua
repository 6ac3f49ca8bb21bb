-- Records how an attempt at a collection ended. One that must be tried again says so once: what was said of this want
-- before is only counted, so that the record does not fill with repetitions.
--
-- KEYS  gc:runs gc:totals gc:waiting gc:retry
-- ARGV  1 runs kept  2 result  3 message  4 only once (1)  5 ask again after (ms; 0 = as it is)  6 blobs  7 bytes
--       8 ended (ms)  9 took (ms); then the fields of the entry, each with its value
-- Result 1 when it was recorded, 0 when it was only counted
local result, message, now_ms = ARGV[2], ARGV[3], ARGV[8]
if tonumber(ARGV[5]) > 0 then redis.call('SET', all['gc:retry'], '1', 'PX', ARGV[5]) end
if ARGV[4] == '1' then
  redis.call('HSETNX', all['gc:waiting'], 'since_ms', now_ms)
  redis.call('HSET', all['gc:waiting'], 'last', message, 'at_ms', now_ms)
  -- Sentences name repositories and digests: what a want was told in more ways than these is counted under the last.
  local said = 'said ' .. message
  if redis.call('HEXISTS', all['gc:waiting'], said) == 0 and redis.call('HLEN', all['gc:waiting']) >= 53 then said = 'said …' end
  if redis.call('HINCRBY', all['gc:waiting'], said, 1) > 1 then return 0 end
end
redis.call('HINCRBY', all['gc:totals'], 'runs ' .. result, 1)
if result == 'done' then
  redis.call('HINCRBY', all['gc:totals'], 'blobs', ARGV[6])
  redis.call('HINCRBY', all['gc:totals'], 'bytes', ARGV[7])
  redis.call('HSET', all['gc:totals'], 'done_ms', now_ms, 'took_ms', ARGV[9])
  redis.call('DEL', all['gc:waiting'])
end
local fields = {}
for i = 10, #ARGV do fields[#fields + 1] = ARGV[i] end
redis.call('XADD', all['gc:runs'], 'MAXLEN', '~', ARGV[1], '*', unpack(fields))
return 1
