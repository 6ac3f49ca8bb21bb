-- Read the entries of events with certain actions, the oldest first, a limited number at a time. Changes nothing.
--
-- KEYS  events
-- ARGV  after       the id of the entry that they come after
--       maximum     entries to read
--       actions...
-- Result the number of entries read, the id of the last of them, and the entries with these actions
local is_wanted, matches = {}, {}
for _, action in ipairs(actions) do is_wanted[action] = true end
local entries = redis.call('XRANGE', all.events, '(' .. after, '+', 'COUNT', maximum)
for _, entry in ipairs(entries) do
  for at = 1, #entry[2], 2 do
    if entry[2][at] == 'action' then
      if is_wanted[entry[2][at + 1]] then matches[#matches + 1] = entry end
      break
    end
  end
end
return {#entries, #entries > 0 and entries[#entries][1] or after, matches}
