-- Change the generation of a repository, so that no plan made before can commit (safety rule 2). Every script that writes
-- what a plan relies on calls this. A generation starts at the clock: no value from before a wiped Redis returns.
-- Returns the new generation. Needs lib/clock and the keys generation, by_name, by_push and by_tags.
local function bump(repository)
  if redis.call('HSETNX', all.generation, repository, now_us) == 1 then
    for _, index in ipairs({all.by_name, all.by_push, all.by_tags}) do redis.call('ZADD', index, 'NX', 0, repository) end
  end
  return redis.call('HINCRBY', all.generation, repository, 1)
end
