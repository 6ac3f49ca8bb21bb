-- Change the generation of a repository, so that no plan made before can commit (safety rule 2). Every script that writes
-- what a plan relies on calls this. A generation starts at the clock: no value from before a wiped Redis returns.
local function bump(repository)
  if redis.call('HEXISTS', all.generation, repository) == 0 then
    local clock = redis.call('TIME')
    redis.call('HSET', all.generation, repository, string.format('%.0f', clock[1] * 1000000 + clock[2]))
  end
  redis.call('HINCRBY', all.generation, repository, 1)
end
