-- Note repositories that the current reconcile run has to compare, and how far the catalog was read.
--
-- KEYS  reconcile:run reconcile:todo
-- ARGV  cursor   the last name that was read; "." = all were read; '' = unchanged
--       catalog  why the names do not come from the catalog; '' = unchanged
--       repositories...
local run = all['reconcile:run']
if redis.call('EXISTS', run) == 0 then return end
for _, repository in ipairs(repositories) do redis.call('ZADD', all['reconcile:todo'], 'NX', 1, repository) end
redis.call('HSET', run, 'row', 0)
if cursor == '.' then redis.call('HSET', run, 'listed', 1)
elseif cursor ~= '' then redis.call('HSET', run, 'cursor', cursor) end
if catalog ~= '' then redis.call('HSET', run, 'catalog', catalog) end
