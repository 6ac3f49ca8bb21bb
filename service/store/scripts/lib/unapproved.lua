-- Return the time of the first clean-up that no operator has approved yet, from a value of unapproved; nil if there is none.
local function first_clean_up(value)
  return string.match(value, '^(%d+) first') or string.match(value, '^%d+ policy %d+ %d+ (%d+)$')
end
