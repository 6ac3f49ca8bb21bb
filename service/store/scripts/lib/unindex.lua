-- Remove a repository that is forgotten from the indexes of all repositories. Returns true if one had it.
-- Needs the keys by_name, by_push, by_tags and live_tags.
local function unindex(repository)
  local tags = tonumber(redis.call('ZSCORE', all.by_tags, repository) or 0)
  if tags > 0 then redis.call('DECRBY', all.live_tags, tags) end
  local removed = 0
  for _, index in ipairs({all.by_name, all.by_push, all.by_tags}) do
    removed = removed + redis.call('ZREM', index, repository)
  end
  return removed > 0
end
