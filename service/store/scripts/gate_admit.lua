-- Whether a request may pass the gate; if so, what it says about a push under way is noted.
--
-- Open: everything passes. Draining: what belongs to an open push passes, so that it can end; what begins anew waits. A
-- push ends with the PUT of its tag. What a client says by its requests is a claim: the registry may have refused them.
-- Claims are believed for a moment, so that a push can get to its first blob; from then on only pushes count of which the
-- registry itself has told. A client that is told apart from nobody (two pushes of one machine, one that comes from several
-- addresses) may belong to a push that stands still for its sake: in the first half minute it passes, too.
-- Closed: nothing passes.
--
-- KEYS  1 gate  2 pushing  3 loose
-- ARGV  1 kind  2 repository  3 client  4 short digest it relies on, or ''  5 by tag (1/0)
--       6 age of what is remembered (ms)  7 pushes remembered  8 blobs remembered  9 it has passed already (1/0)
--       10 how long claims are believed (ms)
-- Result {passes (1/0), state ('' = open), token, more is under way than can be remembered (1/0)}
local kind, repository, client, digest = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local by_tag, passed = ARGV[5] == '1', ARGV[9] == '1'
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local standing = redis.call('HMGET', KEYS[1], 'state', 'token', 'since_ms')
local state = standing[1] or ''
local mine = repository .. ' ' .. client

local STILL_MS, FRESH_MS, OPEN_MS, GRACE_MS, IDLE_MS = 3000, 10000, 600000, 30000, 30000

local function age(member)
  local sign = redis.call('ZSCORE', KEYS[2], member)
  return sign and now_ms - tonumber(sign) or math.huge
end

local function drained_ms() return now_ms - tonumber(standing[3]) end
local function believes() return drained_ms() < tonumber(ARGV[10]) end
local function is_told() return age(repository .. ' ~' .. client .. ' open') < OPEN_MS end

-- Of all pushes to the repository: since when those that count stand still, and the age of the last manifest.
local function pushes()
  local prefix, told, still, put = repository .. ' ', {}, math.huge, math.huge
  local signs = redis.call('ZRANGEBYSCORE', KEYS[2], now_ms - OPEN_MS, '+inf', 'WITHSCORES')
  for at = 1, #signs, 2 do
    local who = string.match(signs[at], '^' .. string.gsub(repository, '%p', '%%%0') .. ' ~(%S+) open$')
    if who then told[prefix .. who .. ' open'] = true end
  end
  for at = 1, #signs, 2 do
    local sign, since = signs[at], now_ms - tonumber(signs[at + 1])
    if string.sub(sign, 1, #prefix) == prefix then
      if string.sub(sign, -4) == ' put' then
        if believes() then put = math.min(put, since) end
      elseif believes() or told[sign] or string.sub(sign, #prefix + 1, #prefix + 1) == '~' then
        still = math.min(still, since)
      end
    end
  end
  return still, put
end

local function passes()
  if passed or state == '' then return true end
  if state ~= 'draining' then return false end
  if kind == 'uploads' then return true end  -- it was begun, or the registry does not know it
  if kind == 'manifest' then
    local still, put = pushes()
    return still < math.huge or put < STILL_MS
  end
  if kind ~= 'asks' and kind ~= 'begins' then return false end
  if age(mine .. ' open') < OPEN_MS and (believes() or is_told()) then return true end
  if believes() and age(mine .. ' asking') < STILL_MS then return true end
  if drained_ms() >= GRACE_MS then return false end
  local still, put = pushes()
  return math.min(still, put) >= STILL_MS and (still < math.huge or put < FRESH_MS)
end

-- Whoever stands still is not waited for, and can be forgotten. One that is new while it drains is no push that was begun.
local function sign(what)
  local member = mine .. what
  if not redis.call('ZSCORE', KEYS[2], member) then
    if state == 'draining' and kind == 'uploads' then return end
    if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[7]) then
      redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms - IDLE_MS)
    end
    if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[7]) then member = '* * more' end
  end
  redis.call('ZADD', KEYS[2], now_ms, member)
end

local function rely()
  local member = repository .. ' ' .. digest .. ' ' .. client
  local is_full = redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[8])
  if is_full and not redis.call('ZSCORE', KEYS[3], member) then member = '*' end
  redis.call('ZADD', KEYS[3], now_ms, member)
end

if not passes() then return {0, state, standing[2], 0} end
if kind == 'asks' then
  if redis.call('ZSCORE', KEYS[2], mine .. ' open') then sign(' open') else sign(' asking') end
elseif kind == 'manifest' and by_tag then
  redis.call('ZREM', KEYS[2], mine .. ' open', mine .. ' asking')
  sign(' put')
elseif kind == 'begins' or kind == 'uploads' or kind == 'manifest' then
  redis.call('ZREM', KEYS[2], mine .. ' asking')
  sign(' open')
  if kind == 'manifest' then sign(' put') end
end
if digest ~= '' then rely() end
for key = 2, 3 do redis.call('ZREMRANGEBYSCORE', KEYS[key], '-inf', now_ms - tonumber(ARGV[6])) end
local is_over = age('* * more') < IDLE_MS or redis.call('ZSCORE', KEYS[3], '*')
return {1, state, standing[2] or '', is_over and 1 or 0}
