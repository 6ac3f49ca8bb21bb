-- Note that a manifest was read whose references were not reported: the blobs that it references are not unreferenced any
-- more, as if its push had reported them.
--
-- KEYS  unread_manifests unreferenced
-- ARGV  member  of unread_manifests: "R <short digest> <client> <put_ms>"
--       repository
--       client
--       put_ms  when the gate last admitted a manifest of the client
--       references...  short digests
-- Result the number of blobs that were released
local reported_ms = tonumber(redis.call('ZSCORE', all.unread_manifests, member) or -1)
local count = 0
local function release(blob, until_ms)
  local noted_ms = redis.call('ZSCORE', all.unreferenced, blob)
  if noted_ms and tonumber(noted_ms) <= until_ms then count = count + redis.call('ZREM', all.unreferenced, blob) end
end
for _, short in ipairs(references) do
  release(repository .. ' ' .. short .. ' ~' .. client, reported_ms)
  release(repository .. ' ' .. short .. ' ' .. client, math.min(reported_ms, tonumber(put_ms)))
end
redis.call('ZREM', all.unread_manifests, member)
return count
