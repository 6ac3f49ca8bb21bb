-- Change the generation of a repository, so that no plan made before can commit (safety rule 2). Every script that writes
-- what a plan relies on calls this. A generation starts at the clock: no value from before a wiped Redis returns.
-- Returns the new generation. Needs lib/clock and the key generation.
local function bump(repository)
  redis.call('HSETNX', all.generation, repository, now_us)
  return redis.call('HINCRBY', all.generation, repository, 1)
end
