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

-- Note that a PUT of a manifest that the gate let pass has reached the registry. The oldest note is removed, so that those
-- that are left are never older than the PUTs that are not reported. An event from before a PUT is about an earlier one, of
-- which there may be no note: it was pushed without the gate, sent twice by a proxy, or Redis had lost it.
local function report_put(r, e)
  local put = r.name .. ' ' .. e.client .. ' ' .. (e.tag ~= '' and e.tag or '@' .. e.short) .. ' '
  local last, oldest, oldest_ms = 0, 0, e.at / 1000
  local noted_ms = redis.call('ZSCORE', all.manifest_puts, put .. 1)
  while noted_ms do
    last = last + 1
    if tonumber(noted_ms) <= oldest_ms then oldest, oldest_ms = last, tonumber(noted_ms) end
    noted_ms = redis.call('ZSCORE', all.manifest_puts, put .. last + 1)
  end
  if oldest == 0 then return end
  -- The numbers stay without a gap.
  redis.call('ZADD', all.manifest_puts, redis.call('ZSCORE', all.manifest_puts, put .. last), put .. oldest)
  redis.call('ZREM', all.manifest_puts, put .. last)
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
