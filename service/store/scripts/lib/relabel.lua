-- Change the size or the mark of a live tag. The generation stays as it is, because no plan under way relies on them. A process
-- that remembers the tags of the repository reads them anew. Needs the key relabeled.
local function relabel(r, repository, tag, live)
  if redis.call('HGET', r.live, tag) == live then return end
  redis.call('HSET', r.live, tag, live)
  redis.call('HINCRBY', all.relabeled, repository, 1)
end
