-- Makes repositories due, by hand, by a changed policy or by a deletion that frees others.
--
-- KEYS  1 due  2 generation
-- ARGV  1 resend after (ms); then the repositories
-- Result the repositories that became due
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local newly = {}
for i = 2, #ARGV do
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0 then
    redis.call('HSET', KEYS[2], ARGV[i], string.format('%.0f', clock[1] * 1000000 + clock[2]))
  end
  redis.call('HINCRBY', KEYS[2], ARGV[i], 1)
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if not score or tonumber(score) > now_ms + tonumber(ARGV[1]) then
    redis.call('ZADD', KEYS[1], now_ms + tonumber(ARGV[1]), ARGV[i])
    newly[#newly + 1] = ARGV[i]
  end
end
return newly
