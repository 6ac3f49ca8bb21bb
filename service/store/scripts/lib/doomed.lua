-- Change what is doomed in a repository. Needs the keys doomed:R and doomed.

-- Take a digest off the doomed ones. Returns true if it was doomed.
local function undoom(r, repository, short)
  local was_doomed = redis.call('HDEL', r.doomed, short) == 1
  if redis.call('HLEN', r.doomed) == 0 then redis.call('ZREM', all.doomed, repository) end
  return was_doomed
end

-- Drop the plan of a repository, because the state that it was made from has changed. Returns true if there was one.
local function drop_doomed(r, repository)
  redis.call('ZREM', all.doomed, repository)
  return redis.call('DEL', r.doomed) == 1
end
