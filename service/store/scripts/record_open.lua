-- Pushes under way, which a collection waits for.

-- What others may rely on. A push is open from its first blob to its manifest: as long as that is not heard of, the blob
-- is referenced by nothing. ~client is what notifications tell, in their order. What the gate noted itself is freed only
-- where it was asked for before the gate let that client's last manifest pass.
local function open_push(r, e)
  local member = r.name .. ' ' .. e.short .. ' ~' .. e.client
  local is_full = redis.call('ZCARD', all.unreferenced) >= limit.blobs
  if is_full and not redis.call('ZSCORE', all.unreferenced, member) then member = '*' end
  redis.call('ZADD', all.unreferenced, now_ms, member)
  local push = r.name .. ' ~' .. e.client .. ' open'
  if not redis.call('ZSCORE', all.pushing, push) then
    if redis.call('ZCARD', all.pushing) >= limit.pushes then
      redis.call('ZREMRANGEBYSCORE', all.pushing, '-inf', now_ms - 30000)
    end
    if redis.call('ZCARD', all.pushing) >= limit.pushes then push = '* * more' end
  end
  redis.call('ZADD', all.pushing, now_ms, push)
end

local function end_push(r, e)
  local put = tonumber(redis.call('ZSCORE', all.pushing, r.name .. ' ' .. e.client .. ' put') or -1)
  for digest in string.gmatch(e.references, '%S+') do
    local member = r.name .. ' ' .. digest
    redis.call('ZREM', all.unreferenced, member .. ' ~' .. e.client)
    local asked = redis.call('ZSCORE', all.unreferenced, member .. ' ' .. e.client)
    if asked and tonumber(asked) <= put then redis.call('ZREM', all.unreferenced, member .. ' ' .. e.client) end
  end
  if e.references == '' then
    redis.call('ZADD', all.unread_manifests, now_ms, string.format('%s %s %s %.0f', r.name, e.short, e.client, put))
    redis.call('ZREMRANGEBYRANK', all.unread_manifests, 0, -1 - limit.pushes)
  end
  if e.tag ~= '' then redis.call('ZREM', all.pushing, r.name .. ' ~' .. e.client .. ' open') end
end

local function forget_open_pushes()
  for _, key in ipairs({all.unread_manifests, all.pushing, all.unreferenced}) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms - limit.youth)
  end
end
