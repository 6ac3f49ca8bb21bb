-- Note manual deletions, and make the repository due. A tag that points at another digest by now is left out. The plan is
-- dropped, because manual deletions come first.
--
-- KEYS  manual:R live:R untagged:R due generation doomed doomed:R restored:R by_name by_push by_tags
-- ARGV  repository
--       resend_ms
--       life_s
--       released(digest until_ms)  digests that a user restored, and that this restore does not protect any longer.
--         until_ms: the end of its lease; one that ends later is of a later restore
--       requests(name digest short json)  name: a tag, or "@<short digest>" of a manifest that exists at the registry
-- Result the names that were noted
-- include lib/clock
-- include lib/bump
-- include lib/short
-- include lib/live
-- include lib/doomed
-- include lib/due

-- Rejected requests are kept for a day.
local known = redis.call('HGETALL', r.manual)
for i = 1, #known, 2 do
  local at_us = tonumber(string.match(known[i + 1], '"at_us":(%d+)') or 0)
  if not string.find(known[i + 1], '"rejected":""', 1, true) and at_us < (now_ms - 86400000) * 1000 then
    redis.call('HDEL', r.manual, known[i])
  end
end

-- Read once: with many manifests and many tags the script would block Redis.
local tagged
local function has_tag(short)
  if not tagged then
    tagged = {}
    for _, live in ipairs(redis.call('HVALS', r.live)) do
      local digest = parts_of(live)
      tagged[digest] = true
    end
  end
  return tagged[pack_digest(short)]
end

local noted = {}
for _, request in ipairs(requests) do
  local is_manifest = request.name == '@' .. request.short
  -- A part of an index is noted by its digest in full.
  if is_manifest and not has_tag(request.short) and redis.call('HEXISTS', r.untagged, request.digest) == 0 then
    redis.call('HSETNX', r.untagged, request.short, now_us .. ' ')
  end
  if is_manifest or points_at(redis.call('HGET', r.live, request.name), request.short) then
    redis.call('HSET', r.manual, request.name, request.json)
    noted[#noted + 1] = request.name
  end
end
if #noted == 0 then return noted end
-- A part or an image that also belongs to a tag that was left out stays protected.
for _, lease in ipairs(#noted == #requests and released or {}) do
  if tonumber(redis.call('ZSCORE', r.restored, lease.digest) or 0) <= tonumber(lease.until_ms) then
    redis.call('ZREM', r.restored, lease.digest)
  end
end
redis.call('EXPIRE', r.manual, life_s)
bump(repository)
drop_doomed(r, repository)
make_due(repository)
return noted
