-- Correct the entries of repositories in the indexes of all repositories. Scripts keep the entries correct: a wrong entry was
-- left by an older version of pushprune, or is an error of this version.
--
-- KEYS  generation by_name by_push by_tags live_tags tags:EACH
-- ARGV  repositories...
-- Result the repositories whose entries were wrong
-- include lib/index_tags
-- include lib/unindex
local wrong = {}
for _, r in ipairs(each) do
  local was_wrong
  if redis.call('HEXISTS', all.generation, r.name) == 0 then
    was_wrong = unindex(r.name)
  else
    local is_new = redis.call('ZADD', all.by_name, 0, r.name) == 1
    was_wrong = index_tags(r, r.name) or is_new
  end
  if was_wrong then wrong[#wrong + 1] = r.name end
end
return wrong
