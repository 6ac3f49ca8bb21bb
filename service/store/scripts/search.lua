-- Find tags, manifests and users in repositories. Changes nothing. Stops after `most_fields` fields, because a script
-- blocks Redis while it runs: the caller goes on with the remaining repositories.
--
-- KEYS  live:EACH tags:EACH deleted:EACH untagged:EACH revisions:EACH links:EACH
-- ARGV  text             a part of a tag or of a user, in lower case; '': tags and users are not searched
--       short            the first characters of a short digest; '': digests are not searched
--       digest           the first characters of the same digest in full
--       most             rows at most, for each rank
--       most_fields      fields to read before it stops
-- Result: repositories that were searched, matches; then rows of: repository (its number, from 1), kind, field, value,
--        push time (µs, '' if not live). Kinds: live (field: a tag), deleted, untagged, earlier (field: a tag; value: its
--        earlier digests), part (field: digest of the index), user (field: the name; value: number of live tags).
--        Of the tags, those that equal the text come first, then those that begin with it.
most, most_fields = tonumber(most), tonumber(most_fields)
local ranks, matches, users, fields = {{}, {}, {}}, 0, {}, 0

local function add(rank, ...)
  matches = matches + 1
  if #ranks[rank] < most then ranks[rank][#ranks[rank] + 1] = {...} end
end

-- Return 1 if the tag equals the text, 2 if it begins with it, 3 if it contains it, else nil.
local function rank_of(tag)
  if text == '' then return nil end
  local at = string.find(string.lower(tag), text, 1, true)
  return at and (#tag == #text and 1 or at == 1 and 2 or 3)
end

local function is_short(value) return short ~= '' and string.sub(value, 1, #short) == short end

local function read(key)
  local flat = redis.call('HGETALL', key)
  fields = fields + #flat / 2
  return flat
end

local function search_digests(i, r)
  local untagged = read(r.untagged)
  for at = 1, #untagged, 2 do
    local known = untagged[at]
    if is_short(known) or string.sub(known, 1, #digest) == digest then add(1, i, 'untagged', known, untagged[at + 1], '') end
  end
  local revisions = read(r.revisions)
  for at = 1, #revisions, 2 do
    if string.find(revisions[at + 1], ':' .. short, 1, true) then add(2, i, 'earlier', revisions[at], revisions[at + 1], '') end
  end
  local links = read(r.links)
  for at = 1, #links, 2 do
    if string.find(links[at + 1], 'child=' .. digest, 1, true) then add(2, i, 'part', links[at], links[at + 1], '') end
  end
end

local done = 0
for i, r in ipairs(each) do
  if fields > most_fields then break end
  done = i
  local live = read(r.live)
  for at = 1, #live, 2 do
    local tag, value = live[at], live[at + 1]
    local rank = is_short(value) and 1 or rank_of(tag)
    if rank then add(rank, i, 'live', tag, value, redis.call('ZSCORE', r.tags, tag) or '') end
    if text ~= '' and string.find(string.lower(value), text, 1, true) then
      local user = string.match(value, '^%S+ %S+ (.+)$')
      if user and string.find(string.lower(user), text, 1, true) then users[user] = (users[user] or 0) + 1 end
    end
  end
  local deleted = read(r.deleted)
  for at = 1, #deleted, 2 do
    local rank = is_short(deleted[at + 1]) and 1 or rank_of(string.match(deleted[at], '^[^ @]+') or '')
    if rank then add(rank, i, 'deleted', deleted[at], deleted[at + 1], '') end
  end
  if short ~= '' then search_digests(i, r) end
end

local answer = {done, matches}
for _, rows in ipairs(ranks) do
  for _, row in ipairs(rows) do
    for _, value in ipairs(row) do answer[#answer + 1] = value end
  end
end
local named = 0
for user, tags in pairs(users) do
  named = named + 1
  if named <= most then
    for _, value in ipairs({0, 'user', user, tags, ''}) do answer[#answer + 1] = value end
  end
end
return answer
