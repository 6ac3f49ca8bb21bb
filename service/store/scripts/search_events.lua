-- Find the events of deleted tags, of a digest and of users, newest first. Changes nothing.
--
-- KEYS  events
-- ARGV  before           the id of an event: only older ones are read; '': the newest are read first
--       count            events to read
--       text             a part of a tag or of a user, in lower case; '': tags and users are not searched
--       digest           the first characters of a digest; '': digests are not searched
--       actions...       a tag is searched only in these events
-- Result: events that were read, id of the last one, its time (µs); then rows of: kind (tag, digest or user), repository,
--        action, tag, digest, user, time (µs), reason
local entries = redis.call('XREVRANGE', all.events, before == '' and '+' or '(' .. before, '-', 'COUNT', count)
local is_deletion, users, answer = {}, {}, {#entries, '', ''}
for _, action in ipairs(actions) do is_deletion[action] = true end

local function is_named(value) return text ~= '' and string.find(string.lower(value), text, 1, true) end

for _, entry in ipairs(entries) do
  local flat, e = entry[2], {}
  for at = 1, #flat, 2 do e[flat[at]] = flat[at + 1] end
  answer[2], answer[3] = entry[1], e.at_us
  local kind = digest ~= '' and string.sub(e.digest, 1, #digest) == digest and 'digest'
    or is_deletion[e.action] and is_named(e.tag) and 'tag'
    or is_named(e.actor) and not users[e.actor] and 'user'
  if is_named(e.actor) then users[e.actor] = true end
  if kind then
    for _, value in ipairs({kind, e.repository, e.action, e.tag, e.digest, e.actor, e.at_us, e.reason}) do
      answer[#answer + 1] = value
    end
  end
end
return answer
