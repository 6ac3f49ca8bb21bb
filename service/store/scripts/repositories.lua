-- Return a page of all repositories in the order of an index. Changes nothing.
--
-- KEYS  INDEX
-- ARGV  descending  1 or 0
--       score       of the last repository of the page before
--       after       its name; '' = the first page. It may have another score by now
--       limit
-- Result the number of all repositories, 1 if more follow, then name, score, …
local key, is_descending, most = all.INDEX, descending == '1', tonumber(limit)
local range = is_descending and 'ZREVRANGE' or 'ZRANGE'

-- An index is in the order of bytes; `<` of Lua follows the locale of the server.
local function is_less(one, other)
  for at = 1, math.min(#one, #other) do
    local byte, other_byte = string.byte(one, at), string.byte(other, at)
    if byte ~= other_byte then return byte < other_byte end
  end
  return #one < #other
end

-- Return how many repositories come before the page. Those with the same score are in the order of their names.
local function offset()
  if after == '' then return 0 end
  local before
  if is_descending then before = redis.call('ZCOUNT', key, '(' .. score, '+inf')
  else before = redis.call('ZCOUNT', key, '-inf', '(' .. score) end
  local first, last = before, before + redis.call('ZCOUNT', key, score, score)
  while first < last do
    local middle = math.floor((first + last) / 2)
    local name = redis.call(range, key, middle, middle)[1]
    local is_behind
    if is_descending then is_behind = is_less(name, after) else is_behind = is_less(after, name) end
    if not is_behind then first = middle + 1 else last = middle end
  end
  return first
end

local start, count = offset(), redis.call('ZCARD', key)
local answer = {count, start + most < count and 1 or 0}
for _, value in ipairs(redis.call(range, key, start, start + most - 1, 'WITHSCORES')) do answer[#answer + 1] = value end
return answer
