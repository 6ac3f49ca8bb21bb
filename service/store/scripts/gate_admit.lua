-- Decide whether a request may pass the gate. If it passes, note what it says about a push in progress.
--
-- Open: everything passes. Draining: requests of a push in progress pass, so that it can end; new pushes wait. A push ends
-- with the PUT of its tag. What a client says by its requests is a claim: the registry may have refused them. Claims are
-- believed for a moment, so that a push gets as far as its first blob. After that only pushes count that the registry itself
-- has reported. A client that cannot be told from others (two pushes of one machine, or one push from several addresses) may
-- belong to a push that makes no progress without it; in the first half minute it passes, too. Closed: nothing passes.
--
-- Claiming: an online collection claims digests. Only requests that name a claimed digest wait, those to a repository that is
-- claimed as a whole because its folders are removed, and those that cannot be understood. Manifests: PUTs of manifests wait as well. Every digest that a request names is noted, before it waits.
--
-- A process that knows another memory than this one, or a gate that Redis does not have and that was not opened, has not
-- looked since Redis lost it, and lets nothing pass until then.
--
-- KEYS  gate pushing manifest_puts unreferenced gc:noted gc:unlinked gc:claimed gate:memory gate:opens
-- ARGV  kind
--       repository
--       client
--       needed      short digest of the blob that the push needs, or ''
--       by_tag      1 for a manifest that is put under a tag
--       reference   of the manifest that is put: its tag, or '@' and its short digest; '' if it is not known
--       youth_ms    how long pushes and blobs are remembered
--       max_pushes  pushes to remember
--       max_blobs   blobs to remember
--       has_passed  1 if it has passed already
--       claims_ms   how long claims are believed
--       memory      the memory that the process knows, or ''
--       knows       token of the closed or claiming gate that the process knows, or ''
-- Result {1 if it passes, else 0; state, '' = open; token; 1 if more is in progress than can be remembered}
-- include lib/clock
local held = redis.call('HMGET', all.gate, 'state', 'token', 'since_ms')
local state = held[1] or ''
local mine = repository .. ' ' .. client

local STILL_MS, FRESH_MS, OPEN_MS, GRACE_MS, IDLE_MS = 3000, 10000, 600000, 30000, 30000

local function age_ms(member)
  local sign = redis.call('ZSCORE', all.pushing, member)
  return sign and now_ms - tonumber(sign) or math.huge
end

local function drained_ms() return now_ms - tonumber(held[3]) end
local function believes_claims() return drained_ms() < tonumber(claims_ms) end
local function is_reported() return age_ms(repository .. ' ~' .. client .. ' open') < OPEN_MS end

-- Of all pushes to the repository that count: for how long the latest has made no progress, and the age of the last manifest.
local function pushes()
  local prefix, reported, still_ms, put_ms = repository .. ' ', {}, math.huge, math.huge
  local signs = redis.call('ZRANGEBYSCORE', all.pushing, now_ms - OPEN_MS, '+inf', 'WITHSCORES')
  for i = 1, #signs, 2 do
    local pusher = string.match(signs[i], '^' .. string.gsub(repository, '%p', '%%%0') .. ' ~(%S+) open$')
    if pusher then reported[prefix .. pusher .. ' open'] = true end
  end
  for i = 1, #signs, 2 do
    local sign, since_ms = signs[i], now_ms - tonumber(signs[i + 1])
    if string.sub(sign, 1, #prefix) == prefix then
      if string.sub(sign, -4) == ' put' then
        if believes_claims() then put_ms = math.min(put_ms, since_ms) end
      elseif believes_claims() or reported[sign] or string.sub(sign, #prefix + 1, #prefix + 1) == '~' then
        still_ms = math.min(still_ms, since_ms)
      end
    end
  end
  return still_ms, put_ms
end

local MOST_NOTED = 200000

-- The registry stores a blob that is pushed by a digest of another algorithm under its sha256, which the request does not name.
local function names_unknown_data() return kind ~= 'asks' and string.find(needed, ':', 1, true) end

-- A collection claims no digest that was named since it was unlinked, or less than gc.youth ago.
local function note_named()
  if names_unknown_data() then redis.call('ZADD', all['gc:noted'], now_ms, '?') end
  local member = needed
  redis.call('ZREMRANGEBYSCORE', all['gc:noted'], '-inf', now_ms - 2 * youth_ms)
  local is_new = not redis.call('ZSCORE', all['gc:noted'], needed)
  if is_new and redis.call('ZCARD', all['gc:noted']) >= MOST_NOTED then member = '*' end
  redis.call('ZADD', all['gc:noted'], now_ms, member)
  local unlinked = redis.call('HGET', all['gc:unlinked'], needed)
  if unlinked and string.sub(unlinked, -5) ~= ' used' then
    redis.call('HSET', all['gc:unlinked'], needed, unlinked .. ' used')
  end
end

local function is_claimed()
  if kind == 'writes' or names_unknown_data() then return true end
  if state == 'manifests' and kind == 'manifest' then return true end
  if redis.call('HEXISTS', all['gc:claimed'], '/' .. repository) == 1 then return true end
  return needed ~= '' and redis.call('HEXISTS', all['gc:claimed'], needed) == 1
end

local function passes()
  if has_passed == '1' then return true end
  if memory ~= '' and memory ~= redis.call('GET', all['gate:memory']) then return false end
  if state == '' then return knows == '' or redis.call('ZSCORE', all['gate:opens'], knows) end
  if state == 'claiming' or state == 'manifests' then return not is_claimed() end
  if state ~= 'draining' then return false end
  -- The upload was begun before; or the registry does not know it, and refuses.
  if kind == 'uploads' then return true end
  if kind == 'manifest' then
    local still_ms, put_ms = pushes()
    return still_ms < math.huge or put_ms < STILL_MS
  end
  if kind ~= 'asks' and kind ~= 'begins' then return false end
  if age_ms(mine .. ' open') < OPEN_MS and (believes_claims() or is_reported()) then return true end
  if believes_claims() and age_ms(mine .. ' asking') < STILL_MS then return true end
  if drained_ms() >= GRACE_MS then return false end
  local still_ms, put_ms = pushes()
  return math.min(still_ms, put_ms) >= STILL_MS and (still_ms < math.huge or put_ms < FRESH_MS)
end

-- A push that makes no progress is not waited for, and can be forgotten. A new upload while the gate drains is no push that
-- was begun.
local function sign(what)
  local member = mine .. what
  if not redis.call('ZSCORE', all.pushing, member) then
    if state == 'draining' and kind == 'uploads' then return end
    if redis.call('ZCARD', all.pushing) >= tonumber(max_pushes) then
      local forgotten = redis.call('ZREMRANGEBYSCORE', all.pushing, '-inf', now_ms - IDLE_MS)
      if forgotten > 0 then redis.call('ZADD', all.pushing, now_ms, '* * put') end
    end
    if redis.call('ZCARD', all.pushing) >= tonumber(max_pushes) then member = '* * more' end
  end
  redis.call('ZADD', all.pushing, now_ms, member)
end

local MOST_UNREPORTED = 16

-- Note the PUT of a manifest, which a notification is to report (record).
local function note_put()
  redis.call('ZREMRANGEBYSCORE', all.manifest_puts, '-inf', now_ms - youth_ms)
  local function is_noted(note) return redis.call('ZSCORE', all.manifest_puts, note) end
  local put, number = mine .. ' ' .. (reference ~= '' and reference or '*') .. ' ', 1
  while number <= MOST_UNREPORTED and is_noted(put .. number) do number = number + 1 end
  -- '*': there are more than can be noted. A notification of such a PUT looks like one of another PUT, so none proves
  -- anything until these notes are forgotten.
  if redis.call('ZCARD', all.manifest_puts) >= tonumber(max_pushes) then
    redis.call('ZADD', all.manifest_puts, now_ms, '* * * *')
    return
  end
  if number > MOST_UNREPORTED or is_noted(put .. '*') then number = '*' end
  redis.call('ZADD', all.manifest_puts, now_ms, mine .. ' 0', now_ms, put .. number)
end

local function note_needed()
  local member = repository .. ' ' .. needed .. ' ' .. client
  local is_full = redis.call('ZCARD', all.unreferenced) >= tonumber(max_blobs)
  if is_full and not redis.call('ZSCORE', all.unreferenced, member) then member = '*' end
  redis.call('ZADD', all.unreferenced, now_ms, member)
end

if needed ~= '' then note_named() end
if not passes() then return {0, state, held[2], 0} end
-- It may be a PUT of a manifest in a form that the gate does not understand.
if kind == 'writes' then redis.call('ZADD', all['gc:noted'], now_ms, '!') end
if kind == 'asks' then
  if redis.call('ZSCORE', all.pushing, mine .. ' open') then sign(' open') else sign(' asking') end
elseif kind == 'manifest' and by_tag == '1' then
  redis.call('ZREM', all.pushing, mine .. ' open', mine .. ' asking')
  sign(' put')
elseif kind == 'begins' or kind == 'uploads' or kind == 'manifest' then
  redis.call('ZREM', all.pushing, mine .. ' asking')
  sign(' open')
  if kind == 'manifest' then sign(' put') end
end
if kind == 'manifest' then note_put() end
if needed ~= '' then note_needed() end
for _, key in ipairs({all.pushing, all.unreferenced}) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms - youth_ms)
end
local overflows = age_ms('* * more') < IDLE_MS or redis.call('ZSCORE', all.unreferenced, '*')
return {1, state, held[2] or '', overflows and 1 or 0}
