-- Part of record: pushes in progress, which a collection waits for.

-- Note a blob of a push. A push is in progress from its first blob to its manifest; until the manifest is reported, nothing
-- references the blob. ~client marks what notifications report. What the gate noted itself is released only if it was noted
-- before the gate admitted the last manifest of the client.
local function open_push(r, e)
  local member = r.name .. ' ' .. e.short .. ' ~' .. e.client
  local is_full = redis.call('ZCARD', all.unreferenced) >= tonumber(max_blobs)
  if is_full and not redis.call('ZSCORE', all.unreferenced, member) then member = '*' end
  redis.call('ZADD', all.unreferenced, now_ms, member)
  local push = r.name .. ' ~' .. e.client .. ' open'
  if not redis.call('ZSCORE', all.pushing, push) then
    if redis.call('ZCARD', all.pushing) >= tonumber(max_pushes) then
      local forgotten = redis.call('ZREMRANGEBYSCORE', all.pushing, '-inf', now_ms - 30000)
      if forgotten > 0 then redis.call('ZADD', all.pushing, now_ms, '* * put') end
    end
    if redis.call('ZCARD', all.pushing) >= tonumber(max_pushes) then push = '* * more' end
  end
  redis.call('ZADD', all.pushing, now_ms, push)
end

-- Note that a PUT of a manifest that the gate let pass has reached the registry. An event that is older than any note may
-- belong to an earlier PUT.
local function report_put(r, e)
  local put = r.name .. ' ' .. e.client .. ' ' .. (e.tag ~= '' and e.tag or '@' .. e.short) .. ' '
  local last_ms = redis.call('ZSCORE', all.manifest_puts, put .. 0)
  if not last_ms or e.at / 1000 < tonumber(last_ms) - youth_ms then return end
  local number = 1
  while redis.call('ZSCORE', all.manifest_puts, put .. number + 1) do number = number + 1 end
  redis.call('ZREM', all.manifest_puts, put .. number)
end

local function end_push(r, e)
  local put_ms = tonumber(redis.call('ZSCORE', all.pushing, r.name .. ' ' .. e.client .. ' put') or -1)
  for digest in string.gmatch(e.references, '%S+') do
    local member = r.name .. ' ' .. digest
    redis.call('ZREM', all.unreferenced, member .. ' ~' .. e.client)
    local noted_ms = redis.call('ZSCORE', all.unreferenced, member .. ' ' .. e.client)
    if noted_ms and tonumber(noted_ms) <= put_ms then redis.call('ZREM', all.unreferenced, member .. ' ' .. e.client) end
  end
  if e.references == '' then
    redis.call('ZADD', all.unread_manifests, now_ms, string.format('%s %s %s %.0f', r.name, e.short, e.client, put_ms))
    redis.call('ZREMRANGEBYRANK', all.unread_manifests, 0, -1 - max_pushes)
  end
  if e.tag ~= '' then redis.call('ZREM', all.pushing, r.name .. ' ~' .. e.client .. ' open') end
  report_put(r, e)
end

local function forget_open_pushes()
  for _, key in ipairs({all.unread_manifests, all.pushing, all.unreferenced}) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms - youth_ms)
  end
end
