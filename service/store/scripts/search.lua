-- Find tags, manifests and users in repositories, from one place on. Changes nothing. Stops after about `most_fields`
-- fields, because a script blocks Redis while it runs: the caller goes on from the place that the script reached.
--
-- KEYS  dictionary live:EACH tags:EACH deleted:EACH untagged:EACH revisions:EACH links:EACH
-- ARGV  text             a part of a tag or of a user, in lower case; '': tags and users are not searched
--       short            the first characters of a short digest; '': digests are not searched
--       packed           the first bytes of the same digest in live:R
--       digest           the first characters of the same digest in full
--       most             rows at most, for each rank
--       ranks            only rows of so many ranks are listed; the others are counted
--       most_fields      fields to read before it stops
--       kind             the number of the kind of key to begin with, in the first repository
--       cursor           of HSCAN in that key
-- Result: repositories that were searched to their end, kind and cursor to go on with in the next one, matches; then rows
--        of: repository (its number, from 1), kind, field, value, push time (µs, '' if not live). Kinds: live (field: a
--        tag), deleted, untagged, earlier (field: a tag; value: its earlier digests), part (field: digest of the index),
--        user (field: the name; value: number of live tags).
--        Of the tags, those that equal the text come first, then those that begin with it.
-- include lib/short
-- include lib/live
most, ranks, most_fields, kind = tonumber(most), tonumber(ranks), tonumber(most_fields), tonumber(kind)
local rows, matches, users, is_user, fields = {{}, {}, {}}, 0, {}, {}, 0
local find, lower, sub = string.find, string.lower, string.sub

local function add(rank, ...)
  matches = matches + 1
  if rank <= ranks and #rows[rank] < most then rows[rank][#rows[rank] + 1] = {...} end
end

-- Return 1 if the tag equals the text, 2 if it begins with it, 3 if it contains it, else nil.
local function rank_of(tag)
  if text == '' then return nil end
  local at = find(lower(tag), text, 1, true)
  return at and (#tag == #text and 1 or at == 1 and 2 or 3)
end

local function is_short(value) return short ~= '' and sub(value, 1, #short) == short end

local names
local function user_of(live)
  local _, _, _, actor = parts_of(live)
  if sub(actor, 1, 1) == '=' then return sub(actor, 2) end
  if not names then
    names = {}
    local flat = redis.call('HGETALL', all.dictionary)
    for at = 1, #flat, 2 do names[flat[at + 1]] = flat[at] end
  end
  return names[actor] or ''
end

-- Count the tag for its user if the user matches. Each user is compared with the text only once.
local function count_user(live)
  local user = user_of(live)
  if is_user[user] == nil then is_user[user] = user ~= '' and find(lower(user), text, 1, true) and true or false end
  if is_user[user] then users[user] = (users[user] or 0) + 1 end
end

local function live(i, r, tag, value)
  local is_digest = short ~= '' and sub(value, 1, #packed) == packed
  local rank = is_digest and 1 or rank_of(tag)
  if rank then add(rank, i, 'live', tag, value, redis.call('ZSCORE', r.tags, tag) or '') end
  if text ~= '' then count_user(value) end
end

local function deleted(i, r, field, value)
  local rank = is_short(value) and 1 or rank_of(string.match(field, '^[^ @]+') or '')
  if rank then add(rank, i, 'deleted', field, value, '') end
end

local function untagged(i, r, known, value)
  if is_short(known) or sub(known, 1, #digest) == digest then add(1, i, 'untagged', known, value, '') end
end

local function revisions(i, r, tag, value)
  if find(value, ':' .. short, 1, true) then add(2, i, 'earlier', tag, value, '') end
end

local function links(i, r, index, value)
  if find(value, 'child=' .. digest, 1, true) then add(2, i, 'part', index, value, '') end
end

local matchers = {live, deleted, untagged, revisions, links}
local kinds = short == '' and 2 or #matchers

local i = 1
while i <= #each and fields < most_fields do
  local r, match = each[i], matchers[kind]
  local keys = {r.live, r.deleted, r.untagged, r.revisions, r.links}
  local page = redis.call('HSCAN', keys[kind], cursor, 'COUNT', most_fields)
  local flat = page[2]
  cursor = page[1]
  -- A key without fields costs about as much as a field.
  fields = fields + 1 + #flat / 2
  for at = 1, #flat, 2 do match(i, r, flat[at], flat[at + 1]) end
  if cursor == '0' then kind = kind + 1 end
  if kind > kinds then i, kind = i + 1, 1 end
end

local answer = {i - 1, kind, cursor, matches}
for _, ranked in ipairs(rows) do
  for _, row in ipairs(ranked) do
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
