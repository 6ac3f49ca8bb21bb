-- Make the next plans of these repositories wait for an approval if they delete a tag that exists now: the changed policy
-- would delete many. A first clean-up stays one while no policy has settled it, and else it is remembered: it was not approved.
-- A late worker requires nothing.
--
-- KEYS  unapproved policy:comparison
-- ARGV  name     of the last record of the comparison
--       removed  tags that the policy would delete in all repositories
--       tags     of all repositories
--       repositories...
-- include lib/clock
-- include lib/unapproved
if redis.call('HGET', all['policy:comparison'], 'name') ~= name then return end
for _, repository in ipairs(repositories) do
  local before = redis.call('HGET', all.unapproved, repository) or ''
  if not string.find(before, ' first$') then
    local first_us = first_clean_up(before)
    local mark = now_us .. ' policy ' .. removed .. ' ' .. tags .. (first_us and ' ' .. first_us or '')
    redis.call('HSET', all.unapproved, repository, mark)
  end
end
