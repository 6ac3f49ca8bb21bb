-- Read the values of live:R, "<short digest> <size>[!] <actor>"; nil for a tag that is not live.
local function digest_of(live)
  return live and string.sub(live, 1, string.find(live, ' ', 1, true) - 1)
end

local function size_of(live)
  return string.match(live or '', '^%S+ (%d+)') or '0'
end

local function points_at(live, short)
  return live and string.sub(live, 1, #short + 1) == short .. ' '
end
