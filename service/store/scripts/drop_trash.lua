-- Forgets what was deleted of one repository, because it can no longer be put back. What is still to be deleted, and has
-- only lost its tags, stands at the registry with all it needs: it stays.
--
-- KEYS  trash:R deleted:R trashed doomed:R untagged:R
-- ARGV  1 repository  2 what went to the trash after this stays (µs)  3 entries of deleted:R before this go in any case
--       (µs; 0 = none); then the digests ('-' = only tags went), each with its short form
-- Result how many deletions can no longer be undone
local gone = {}
local clock = redis.call('TIME')
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
for i = 4, #ARGV, 2 do
  local digest, short, member = ARGV[i], ARGV[i + 1], ARGV[1] .. ' ' .. ARGV[i]
  local at = tonumber(redis.call('ZSCORE', all.trashed, member) or -1)
  if at < tonumber(ARGV[2]) then
    local waits = redis.call('HEXISTS', r.doomed, short) == 1
      or string.find(redis.call('HGET', r.untagged, short) or '', ' untagged', 1, true)
    if digest ~= '-' and waits and ARGV[3] == '0' then
      redis.call('ZADD', all.trashed, now_us, member)
    else
      redis.call('ZREM', all.trashed, member)
      if digest ~= '-' then
        gone[short] = true
        redis.call('HDEL', r.trash, digest)
      end
    end
  end
end
local deleted, final = redis.call('HGETALL', r.deleted), 0
for i = 1, #deleted, 2 do
  local short, at = string.match(deleted[i + 1], '^(%S+) %S+ (%d+)')
  if gone[short] or tonumber(at) < tonumber(ARGV[3]) then
    final = final + redis.call('HDEL', r.deleted, deleted[i])
  end
end
return final
