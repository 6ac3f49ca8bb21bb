-- A manifest was read whose references its push did not tell: what it references is loose no more, as `record` would have
-- freed it then.
--
-- KEYS  1 unread  2 loose
-- ARGV  1 its member in unread ("R <short digest> <client> <put (ms)>")  2 repository  3 client  4 put (ms)
--       then the short digests that it references
-- Result how many are freed
local heard = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or -1)
local freed = 0
local function free(member, until_ms)
  local noted = redis.call('ZSCORE', KEYS[2], member)
  if noted and tonumber(noted) <= until_ms then freed = freed + redis.call('ZREM', KEYS[2], member) end
end
for nth = 5, #ARGV do
  local member = ARGV[2] .. ' ' .. ARGV[nth] .. ' '
  free(member .. '~' .. ARGV[3], heard)
  free(member .. ARGV[3], math.min(heard, tonumber(ARGV[4])))
end
redis.call('ZREM', KEYS[1], ARGV[1])
return freed
