-- Note the last push of a repository and the number of its live tags in the indexes of all repositories. Every script that
-- changes tags:R calls this afterwards. Returns true if an index changed.
-- Needs the keys tags:R, by_push, by_tags and live_tags.
local function index_tags(r, repository)
  local tags = redis.call('ZCARD', r.tags)
  local pushed_us = redis.call('ZREVRANGE', r.tags, 0, 0, 'WITHSCORES')[2] or '0'
  local before = tonumber(redis.call('ZSCORE', all.by_tags, repository) or 0)
  if tags ~= before then redis.call('INCRBY', all.live_tags, tags - before) end
  local changes = redis.call('ZADD', all.by_tags, 'CH', tags, repository)
  return changes + redis.call('ZADD', all.by_push, 'CH', pushed_us, repository) > 0
end
