-- Return the deletions in repositories that can be restored. Changes nothing. Stops after `most_fields` fields, because a
-- script blocks Redis while it runs: the caller goes on with the remaining repositories.
--
-- KEYS  deleted:EACH
-- ARGV  most_fields
--       repositories...
-- Result for each repository that was read: field, value, field, value, … of deleted:R
local answer, fields = {}, 0
for i, r in ipairs(each) do
  if fields > tonumber(most_fields) then break end
  answer[i] = redis.call('HGETALL', r.deleted)
  fields = fields + #answer[i] / 2
end
return answer
