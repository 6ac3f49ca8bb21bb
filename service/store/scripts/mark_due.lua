-- Make repositories due: requested by a user, by a changed policy, or by a deletion that lets others follow. Their plans
-- are dropped, so that nothing more is deleted by them.
--
-- KEYS  due generation doomed by_name by_push by_tags doomed:EACH
-- ARGV  resend_ms
--       repositories...
-- Result the repositories that became due
-- include lib/clock
-- include lib/bump
-- include lib/doomed
-- include lib/due
local newly = {}
for _, r in ipairs(each) do
  bump(r.name)
  drop_doomed(r, r.name)
  if make_due(r.name) == 1 then newly[#newly + 1] = r.name end
end
return newly
