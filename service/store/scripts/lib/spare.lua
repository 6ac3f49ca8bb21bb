-- Take a digest off the doomed ones because its image may be kept. Other images of the plan may be revisions of the tags that
-- are kept with it: drop the plan then. Returns true if it was doomed. Needs lib/doomed and the keys
-- doomed:R, doomed and revisions:R.
local function spare(r, repository, short)
  local was_doomed = undoom(r, repository, short)
  if was_doomed and redis.call('EXISTS', r.revisions) == 1 then drop_doomed(r, repository) end
  return was_doomed
end
