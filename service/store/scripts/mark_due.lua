-- Makes repositories due, by hand, by a changed policy or by a deletion that frees others.
--
-- What was planned before is planned anew: nothing more is deleted by the old plan.
--
-- KEYS  1 due  2 generation  3 doomed (zset); then doomed:R of each repository
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
  redis.call('DEL', KEYS[i + 2])
  redis.call('ZREM', KEYS[3], ARGV[i])
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if not score or tonumber(score) > now_ms + tonumber(ARGV[1]) then
    redis.call('ZADD', KEYS[1], now_ms + tonumber(ARGV[1]), ARGV[i])
    newly[#newly + 1] = ARGV[i]
  end
end
return newly
