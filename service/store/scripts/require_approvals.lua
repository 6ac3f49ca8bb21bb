-- Make the next plans of these repositories wait for an approval if they delete a tag that exists now: the changed policy
-- would delete many. A first clean-up stays one while no policy has settled it. A late worker requires nothing.
--
-- KEYS  unapproved policy:comparison
-- ARGV  name     of the last record of the comparison
--       removed  tags that the policy would delete in all repositories
--       tags     of all repositories
--       repositories...
-- include lib/clock
if redis.call('HGET', all['policy:comparison'], 'name') ~= name then return end
for _, repository in ipairs(repositories) do
  local before = redis.call('HGET', all.unapproved, repository)
  if not string.find(before or '', ' first$') then
    redis.call('HSET', all.unapproved, repository, now_us .. ' policy ' .. removed .. ' ' .. tags)
  end
end
