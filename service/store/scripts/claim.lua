-- Claim digests for a collection, so that requests that name one of them wait at the gate. A digest that is in use is refused.
-- Or claim whole repositories, as '/' .. name: every request to one of them waits.
--
-- KEYS  gate gc:noted gc:noting gc:unlinked gc:claimed pushing
-- ARGV  token
--       purpose   unlink: refuse what was named since `since_ms`; delete: refuse what was named since it was unlinked,
--                 and everything if a digest that is no sha256 was named since `began_ms`; empty: refuse repositories that
--                 a push was heard of
--       began_ms  when the inventory began
--       youth_ms  a manifest may come so long after the request that named its blob
--       digests... short digests, or repositories
-- Result {1, the refused digests…}; {0} if this holder does not have the gate any more
-- include lib/clock
local held = redis.call('HMGET', all.gate, 'token', 'state')
if held[1] ~= token or (held[2] ~= 'claiming' and held[2] ~= 'manifests') then return {0} end

-- A manifest that the inventory does not have was put after it began.
local since_ms = tonumber(began_ms) - tonumber(youth_ms)
local function is_recent(member)
  local noted_ms = redis.call('ZSCORE', all['gc:noted'], member)
  return noted_ms and tonumber(noted_ms) > since_ms
end

-- Until requests have been noted for gc.youth, an earlier one may be unknown. '*': not all requests could be noted. The notes
-- are kept for twice gc.youth.
local noting_ms = redis.call('GET', all['gc:noting'])
local is_unknown = not noting_ms or tonumber(noting_ms) > since_ms or is_recent('*')
  or now_ms - tonumber(began_ms) > tonumber(youth_ms)

-- '?': a digest was named that does not tell which data is used.
local unknown_ms = redis.call('ZSCORE', all['gc:noted'], '?')
local may_be_any = unknown_ms and tonumber(unknown_ms) >= tonumber(began_ms)

-- The gate notes every request to a repository here. '* *': not all could be noted.
local function is_pushed_to(member)
  local prefix = string.sub(member, 2) .. ' '
  for _, sign in ipairs(redis.call('ZRANGEBYSCORE', all.pushing, since_ms, '+inf')) do
    if string.sub(sign, 1, #prefix) == prefix or string.sub(sign, 1, 4) == '* * ' then return true end
  end
  return false
end

local function is_used(digest)
  if purpose == 'empty' then return is_unknown or is_pushed_to(digest) end
  local unlinked = redis.call('HGET', all['gc:unlinked'], digest)
  if not unlinked then return true end
  if purpose == 'unlink' then return is_unknown or is_recent(digest) end
  return may_be_any or string.sub(unlinked, -5) == ' used' or string.sub(unlinked, 1, 1) == '?'
end

local result = {1}
for _, digest in ipairs(digests) do
  if is_used(digest) then result[#result + 1] = digest
  else redis.call('HSET', all['gc:claimed'], digest, token) end
end
redis.call('HSET', all.gate, 'claimed_ms', now_ms)
return result
