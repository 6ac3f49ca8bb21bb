-- Puts a doomed manifest into the trash, right before its DELETE is sent, unless it was rescued meanwhile. Its tags are
-- looked at again should nobody note how the DELETE ended: one that failed may have done its work.
--
-- KEYS  1 doomed:R  2 trash:R  3 trashed  4 heal:R  5 healing  6 touched:R  7 restarts
--       8 leased:R
-- ARGV  1 repository  2 digest  3 short digest  4 JSON to keep  5 life (s)  6 look again after (ms)
--       7 restarts that the history was compared after; then the tags
-- Result 1 kept: delete it; 0 rescued, or the registry restarted: leave it alone; 2 somebody has leased it meanwhile
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 0 then return 0 end
if (redis.call('GET', KEYS[7]) or '0') ~= ARGV[7] then return 0 end
local clock = redis.call('TIME')
if tonumber(redis.call('ZSCORE', KEYS[8], ARGV[2]) or 0) > clock[1] * 1000 + math.floor(clock[2] / 1000) then return 2 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[5])
redis.call('ZADD', KEYS[3], string.format('%.0f', clock[1] * 1000000 + clock[2]), ARGV[1] .. ' ' .. ARGV[2])
local look_ms = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[6])
local now_ms = look_ms - tonumber(ARGV[6])
for i = 8, #ARGV do
  redis.call('ZADD', KEYS[4], look_ms, ARGV[i] .. ' again')
  redis.call('ZADD', KEYS[6], now_ms, ARGV[i])
end
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now_ms - 86400000)
redis.call('EXPIRE', KEYS[6], 86400)
redis.call('ZADD', KEYS[5], 'LT', look_ms, ARGV[1])
return 1
