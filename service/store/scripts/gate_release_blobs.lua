-- A manifest was read whose references its push did not tell: what it references is loose no more, as `record` would have
-- freed it then.
--
-- KEYS  unread_manifests unreferenced
-- ARGV  1 its member in unread ("R <short digest> <client> <put (ms)>")  2 repository  3 client  4 put (ms)
--       then the short digests that it references
-- Result how many are freed
local heard = tonumber(redis.call('ZSCORE', all.unread_manifests, ARGV[1]) or -1)
local freed = 0
local function free(member, until_ms)
  local noted = redis.call('ZSCORE', all.unreferenced, member)
  if noted and tonumber(noted) <= until_ms then freed = freed + redis.call('ZREM', all.unreferenced, member) end
end
for nth = 5, #ARGV do
  local member = ARGV[2] .. ' ' .. ARGV[nth] .. ' '
  free(member .. '~' .. ARGV[3], heard)
  free(member .. ARGV[3], math.min(heard, tonumber(ARGV[4])))
end
redis.call('ZREM', all.unread_manifests, ARGV[1])
return freed
