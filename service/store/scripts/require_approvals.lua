-- Has the next plans of these repositories wait for an approval where they delete what is there now: the changed policy
-- would delete much. A first clean-up that waits already stays one.
--
-- KEYS  unapproved
-- ARGV  1 tags that the policy would delete in all repositories  2 the tags of all repositories; then the repositories
local clock = redis.call('TIME')
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
for i = 3, #ARGV do
  local before = redis.call('HGET', all.unapproved, ARGV[i])
  if not before or not string.find(before, ' first', 1, true) then
    redis.call('HSET', all.unapproved, ARGV[i], now_us .. ' policy ' .. ARGV[1] .. ' ' .. ARGV[2])
  end
end
