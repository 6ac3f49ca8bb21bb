-- Puts a doomed manifest into the trash, right before its DELETE is sent, or notes that only tags of it are to go; unless
-- it was rescued, or planned anew, meanwhile. Its tags are looked at again should nobody note how that ended: what failed
-- may have done its work. And where they stand is noted: who takes one over from now on did not make its image stay.
--
-- KEYS  doomed:R trash:R trashed heal:R healing touched:R restarts leased:R restored:R untagging:R
-- ARGV  1 repository  2 digest  3 short digest  4 JSON to keep ('' = the manifest stays, 'again' = it is there)  5 life (s)  6 look again after (ms)
--       7 restarts that the history was compared after  8 JSON of what is doomed of it
--       9 digests of which none may be leased: its own and those of its parts, at any depth (count); then these digests;
--       then the tags
-- Result 1 kept: delete it; 0 rescued, or the registry restarted: leave it alone; 2 somebody has leased it meanwhile;
--        3 it was to be there, and is not
if redis.call('HGET', r.doomed, ARGV[3]) ~= ARGV[8] then return 0 end
if (redis.call('GET', all.restarts) or '0') ~= ARGV[7] then return 0 end
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local look_ms = now_ms + tonumber(ARGV[6])
local tags = 10 + tonumber(ARGV[9])
for _, leases in ipairs({r.leased, r.restored}) do
  if redis.call('EXISTS', leases) == 1 then
    for i = 10, tags - 1 do
      if tonumber(redis.call('ZSCORE', leases, ARGV[i]) or 0) > now_ms then return 2 end
    end
  end
end
local member = ARGV[1] .. ' -'
if ARGV[4] ~= '' then
  member = ARGV[1] .. ' ' .. ARGV[2]
  if ARGV[4] ~= 'again' then redis.call('HSET', r.trash, ARGV[2], ARGV[4])
  elseif redis.call('HEXISTS', r.trash, ARGV[2]) == 0 then return 3 end
  redis.call('EXPIRE', r.trash, ARGV[5])
end
redis.call('ZADD', all.trashed, string.format('%.0f', clock[1] * 1000000 + clock[2]), member)
for i = tags, #ARGV do
  redis.call('ZADD', r.heal, look_ms, ARGV[i] .. ' again')
  redis.call('ZADD', r.touched, now_ms, ARGV[i])
  if ARGV[4] ~= '' then redis.call('HSET', r.untagging, ARGV[i], ARGV[3]) end
end
redis.call('EXPIRE', r.untagging, 86400)
if #ARGV >= tags then redis.call('ZADD', all.healing, 'LT', look_ms, ARGV[1]) end
redis.call('ZREMRANGEBYSCORE', r.touched, '-inf', now_ms - 86400000)
redis.call('EXPIRE', r.touched, 86400)
return 1
