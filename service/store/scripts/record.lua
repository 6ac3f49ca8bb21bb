-- Records one envelope exactly once. Late, doubled and out-of-order events leave the same state as the same events in
-- order: per tag the latest registry time wins, and what was deleted stays void up to the time of its deletion.
--
-- KEYS  1 seen (this hour)  2 seen (the hour before)  3 due  4 generation  5 instances  6 restarts  7 events  8 pulls
--       9 rejected  10 counters  11 doomed (zset)  12 healing  13 heard; then per repository, 8 each:
--       tags live pulled gone links doomed:R heal history, and after all of them, 10 each: trash:R touched:R put:R
--       untagged:R revisions:R created:R approvals:R asked:R byhand:R taking:R; then unread, pushing and loose; and at the very end, 1 each: layers:R
-- ARGV  1 repositories (count)  2 rejected (count)  3 events (count)  4 resend after (ms)  5 history entries per repository
--       6 events kept  7 pulls kept  8 rejected kept  9 life of a seen id (s)  10 look again after (ms)
--       then the repository names; then per rejected event: reason, excerpt;
--       then per event, 16 each: id at_us action repository# tag digest short size index(0|1) children actor agent address
--       instance kind(manifest|blob|own|ignored) media; then what is remembered of pushes: its age (ms), pushes, blobs, and
--       per event its client, and the blobs it references (short digests); and at the very end: manifests whose layers
--       are remembered per repository, then per event: its layers ('' = not known)
-- Result {recorded, duplicates, repository that became due, …}
local repositories, rejected, events = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local resend, keep_history, keep_events, keep_pulls = tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7]
local keep_rejected, seen_life, again = ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = clock[1] * 1000000 + clock[2]
local at = 10

local names = {}
for i = 1, repositories do names[i] = ARGV[at + i] end
at = at + repositories

local function key(repository, nth) return KEYS[13 + (repository - 1) * 8 + nth] end
local function after(repository, nth) return KEYS[13 + repositories * 8 + (repository - 1) * 10 + nth] end
local function count(field) redis.call('HINCRBY', KEYS[10], field, 1) end

local function log(r, action, e, reason)
  local fields = {'action', action, 'tag', e.tag, 'digest', e.digest, 'size', e.size, 'actor', e.actor,
                  'agent', e.agent, 'address', e.address, 'at_us', e.at_us, 'reason', reason or '', 'rule', '',
                  'media', e.media}
  redis.call('XADD', key(r, 8), 'MAXLEN', '~', keep_history, '*', unpack(fields))
  redis.call('XADD', KEYS[7], 'MAXLEN', '~', keep_events, '*', 'repository', names[r], unpack(fields))
end

-- A generation starts at the clock, so that one from before a wiped Redis never comes again.
local function changed(r)
  if redis.call('HEXISTS', KEYS[4], names[r]) == 0 then redis.call('HSET', KEYS[4], names[r], now_us) end
  redis.call('HINCRBY', KEYS[4], names[r], 1)
end

local newly = {}
local function mark_due(r)
  local score = redis.call('ZSCORE', KEYS[3], names[r])
  if not score or tonumber(score) > now_ms + resend then
    redis.call('ZADD', KEYS[3], now_ms + resend, names[r])
    newly[names[r]] = true
  end
end

-- A DELETE may still be on its way: what is looked at now is looked at again when it must have ended.
local function look_at(r, tag, later)
  redis.call('ZADD', key(r, 7), now_ms, tag)
  if later then redis.call('ZADD', key(r, 7), now_ms + again, tag .. ' again') end
  redis.call('ZADD', KEYS[12], 'LT', now_ms + resend, names[r])
end

-- The plan was made from a state that is gone: plan again before anything more is deleted.
local function drop_plan(r)
  if redis.call('DEL', key(r, 6)) == 1 then
    redis.call('ZREM', KEYS[11], names[r])
    mark_due(r)
  end
end

local function void_until(r, member)
  return tonumber(redis.call('ZSCORE', key(r, 4), member) or -1)
end

local function make_void(r, member, at_us)
  redis.call('ZADD', key(r, 4), 'GT', at_us, member)
  redis.call('ZREMRANGEBYRANK', key(r, 4), 0, -1001)
  redis.call('EXPIRE', key(r, 4), 86400)
end

local function stood_at(r, tag)
  local standing = redis.call('HGET', key(r, 2), tag)
  return standing and string.sub(standing, 1, string.find(standing, ' ', 1, true) - 1)
end

-- A manifest has lost a tag, or was pushed without one: its clock starts, again if it is the later loss. Whether another
-- tag still holds it is for the plan to see. Parts of an index stand there by their whole digest, all else by the short.
local function untag(r, digest, at_us, tag, mark)
  local known = redis.call('HGET', after(r, 4), digest)
  if known and tonumber(string.match(known, '^%d+')) >= tonumber(at_us) then return end
  if not known and redis.call('HLEN', after(r, 4)) >= 10000 then
    redis.call('HDEL', after(r, 4), redis.call('HRANDFIELD', after(r, 4)))
  end
  redis.call('HSET', after(r, 4), digest, at_us .. ' ' .. tag .. (mark or ''))
end

-- A delete of ours may have begun to take a tag off: it may be off already, and not noted. Where that image is
-- still to go, or gone, who takes the tag over or deletes it meanwhile does not make it stay. Returns the mark for `untag`.
local function begun(r, tag, digest)
  local taking = redis.call('HGET', after(r, 10), tag)
  if taking == digest .. ' gone' then return ' begun' end
  if taking ~= digest then return nil end
  local known = redis.call('HGET', after(r, 4), digest) or ''
  local goes = redis.call('HEXISTS', key(r, 6), digest) == 1 or string.find(known, ' begun', 1, true)
  return goes and ' begun' or nil
end

-- What is doomed no longer, as it has lost a tag; what else is planned stays so.
local function undoom(r, digest)
  if redis.call('HDEL', key(r, 6), digest) == 1 and redis.call('HLEN', key(r, 6)) == 0 then
    redis.call('ZREM', KEYS[11], names[r])
  end
end

-- The digests that a tag pointed at before, each with the time of its last push, the newest first. Keeps those pushed
-- after `since`, without `current`, and with one more.
local function overwritten(r, tag, since, current, at_us, digest)
  local standing, pushed, order = redis.call('HGET', after(r, 5), tag) or '', {}, {}
  if digest and since < 0 and tonumber(string.match(standing, '^%d+') or -1) < tonumber(at_us) then
    order[1] = at_us .. ':' .. digest
    for time, known in string.gmatch(standing, '(%d+):(%S+)') do
      if known ~= digest and known ~= current and #order < 100 then order[#order + 1] = time .. ':' .. known end
    end
    redis.call('HSET', after(r, 5), tag, table.concat(order, ' '))
    return
  end
  for time, known in string.gmatch(standing, '(%d+):(%S+)') do pushed[known] = time end
  if digest and (not pushed[digest] or tonumber(pushed[digest]) < tonumber(at_us)) then pushed[digest] = at_us end
  for known, time in pairs(pushed) do
    if known ~= current and tonumber(time) > since then order[#order + 1] = time .. ':' .. known end
  end
  table.sort(order, function(a, b)
    local first, second = tonumber(string.match(a, '^%d+')), tonumber(string.match(b, '^%d+'))
    return first > second or (first == second and a > b)
  end)
  if #order == 0 then redis.call('HDEL', after(r, 5), tag) return end
  redis.call('HSET', after(r, 5), tag, table.concat(order, ' ', 1, math.min(#order, 100)))
end

-- The parts of an index that is gone have lost what held them.
local function untag_children(r, known, at_us, index)
  for child in string.gmatch(known, 'child=(%S+)') do
    untag(r, child, at_us, '', ' part ' .. index)
  end
end

-- Whether a manifest has lost an index, after this push of it: that tells more of it than a tag that is gone by now, and
-- that may have stood elsewhere long before.
local function was_part_since(r, e)
  local part = redis.call('HGET', after(r, 4), e.digest)
  return part and tonumber(string.match(part, '^%d+')) >= e.at
end

-- links:R of an index: its time of push, and its children if they are known; content never changes, so they stay known.
local function link(r, e)
  local known = redis.call('HGET', key(r, 5), e.digest)
  local children, pushed = e.children, e.at
  if known then
    local space = string.find(known, ' ', 1, true)
    pushed = math.max(pushed, tonumber(string.sub(known, 1, space - 1)))
    if children == '?' then children = string.sub(known, space + 1) end
  end
  local void = void_until(r, '@' .. e.short)
  if void >= pushed then
    if children ~= '?' then untag_children(r, children, string.format('%.0f', void), e.short) end
    pushed, children = void, '?'
  end
  redis.call('HSET', key(r, 5), e.digest, string.format('%.0f', pushed) .. ' ' .. children)
end

-- What a manifest references never changes; where there is no room, one of the others is forgotten.
local function remember(r, e)
  local layers, keep_layers = KEYS[#KEYS - repositories + r], tonumber(ARGV[#ARGV - events])
  if e.layers == '' or redis.call('HEXISTS', layers, e.short) == 1 then return end
  local over = redis.call('HLEN', layers) + 1 - keep_layers
  if over > 0 then redis.call('HDEL', layers, unpack(redis.call('HRANDFIELD', layers, math.min(over, 1000)))) end
  redis.call('HSET', layers, e.short, e.layers)
end

local function push(r, e)
  log(r, 'push', e)
  changed(r)
  redis.call('ZREM', after(r, 7), e.digest)
  if redis.call('HDEL', key(r, 6), e.short) == 1 then
    log(r, 'rescued', e, 'pushed again before it was deleted')
    mark_due(r)
  end
  if redis.call('HLEN', key(r, 6)) == 0 then redis.call('ZREM', KEYS[11], names[r]) end
  if e.index then
    link(r, e)
    drop_plan(r)
    if redis.call('EXISTS', after(r, 1)) == 1 then look_at(r, e.digest, true) end
  end
  local void, gone = void_until(r, e.tag), e.at <= void_until(r, '@' .. e.short)
  if not gone then
    remember(r, e)
    -- Whoever wanted it gone did not know of this push.
    redis.call('HDEL', after(r, 8), '@' .. e.short)
    redis.call('ZREM', after(r, 9), e.short)
  end
  if e.tag == '' then
    if not gone then
      untag(r, e.short, e.at_us, '')
      redis.call('ZADD', KEYS[3], 'NX', now_ms + 3600000, names[r])  -- what nobody completes is looked at then
    end
    return
  end
  local current = redis.call('ZSCORE', key(r, 1), e.tag)
  if e.at <= void then
    -- A tag that was deleted and restored since stands where it stood at its last push, or elsewhere.
    if current and stood_at(r, e.tag) == e.short then
      redis.call('ZADD', key(r, 1), 'GT', e.at_us, e.tag)
      mark_due(r)
    elseif not gone and not was_part_since(r, e) then untag(r, e.short, string.format('%.0f', void), e.tag) end
    return
  end
  if current then
    local digest = stood_at(r, e.tag)
    local late = e.at < tonumber(current) or (e.at == tonumber(current) and e.short <= digest)
    -- What turned up before its push was told has its time from then on.
    if late and digest == e.short and string.sub(redis.call('HGET', key(r, 2), e.tag), -2) == ' ?' then late = false end
    if digest ~= e.short then
      -- A tag that was found, and not seen pushed, has no time: it was there until now.
      local lost, lost_at, until_us = digest, tonumber(current) > 0 and string.format('%.0f', current) or e.at_us, e.at_us
      if late then lost, lost_at, until_us = e.short, e.at_us, string.format('%.0f', current) end
      if tonumber(lost_at) > void_until(r, '@' .. lost) then
        untag(r, lost, until_us, e.tag, not late and begun(r, e.tag, lost))
      end
      overwritten(r, e.tag, -1, late and digest or e.short, lost_at, lost)
      -- Other tags of it were to go without it, as this one kept it.
      if not late then undoom(r, lost) end
    end
    if late then return end
  end
  redis.call('HDEL', after(r, 4), e.short, e.digest)
  redis.call('HDEL', after(r, 8), e.tag)
  redis.call('HDEL', after(r, 10), e.tag)
  redis.call('ZADD', key(r, 1), e.at_us, e.tag)
  redis.call('HSET', key(r, 2), e.tag, e.short .. ' ' .. e.size .. ' ' .. e.actor)
  if redis.call('HEXISTS', after(r, 1), e.digest) == 1 or redis.call('ZSCORE', after(r, 2), e.tag)
    or redis.call('HEXISTS', after(r, 3), e.tag) == 1 then
    look_at(r, e.tag, true)
  end
  mark_due(r)
end

-- A pull by digest counts for every tag that stands there.
local function pull(r, e)
  redis.call('XADD', KEYS[8], 'MAXLEN', '~', keep_pulls, '*', 'repository', names[r], 'tag', e.tag, 'digest', e.digest,
             'actor', e.actor, 'agent', e.agent, 'address', e.address, 'at_us', e.at_us)
  local member = e.tag ~= '' and e.tag or '@' .. e.short
  if e.kind == 'ignored' or e.at <= void_until(r, member) then return end
  redis.call('ZADD', key(r, 3), 'GT', e.at_us, member)
  -- What somebody uses may be kept by that: plan again before it is deleted, unless it was asked for by hand.
  local doomed = redis.call('HGET', key(r, 6), e.short)
  if doomed and not string.find(doomed, '"by_hand":true', 1, true) then
    changed(r)
    drop_plan(r)
  end
end

local function delete(r, e)
  log(r, 'delete', e)
  changed(r)
  mark_due(r)  -- parts and referrers may follow
  if e.tag == '' then
    make_void(r, '@' .. e.short, e.at_us)
    local known = redis.call('HGET', key(r, 5), e.digest)
    if known and tonumber(string.match(known, '^%d+')) <= e.at then
      untag_children(r, known, e.at_us, e.short)
      redis.call('HSET', key(r, 5), e.digest, e.at_us .. ' ?')
    end
    for _, form in ipairs({e.short, e.digest}) do
      local since = redis.call('HGET', after(r, 4), form)
      if since and tonumber(string.match(since, '^%d+')) <= e.at then redis.call('HDEL', after(r, 4), form) end
    end
    redis.call('HDEL', after(r, 6), e.short)
    redis.call('HDEL', KEYS[#KEYS - repositories + r], e.short)
    local used = redis.call('ZSCORE', key(r, 3), '@' .. e.short)
    if used and tonumber(used) <= e.at then redis.call('ZREM', key(r, 3), '@' .. e.short) end
    return
  end
  local restored = e.at <= void_until(r, e.tag)
  make_void(r, e.tag, e.at_us)
  overwritten(r, e.tag, e.at)
  if redis.call('HEXISTS', after(r, 3), e.tag) == 1 then look_at(r, e.tag, true) end  -- our healing may have crossed it
  local current = redis.call('ZSCORE', key(r, 1), e.tag)
  if current and not restored and tonumber(current) <= e.at then
    local digest = stood_at(r, e.tag)
    local mark = begun(r, e.tag, digest)
    if void_until(r, '@' .. digest) < tonumber(current) then untag(r, digest, e.at_us, e.tag, mark) end
    redis.call('ZREM', key(r, 1), e.tag)
    redis.call('HDEL', key(r, 2), e.tag)
    redis.call('HDEL', after(r, 10), e.tag)
    if mark then undoom(r, digest) else drop_plan(r) end  -- what was to go held no place that another could have now
  end
  local pulled = redis.call('ZSCORE', key(r, 3), e.tag)
  if pulled and tonumber(pulled) <= e.at then redis.call('ZREM', key(r, 3), e.tag) end
end

-- What others may rely on. A push is open from its first blob to its manifest: as long as that is not heard of, the blob
-- is referenced by nothing. ~client is what notifications tell, in their order. What the gate noted itself is freed only
-- where it was asked for before the gate let that client's last manifest pass.
local unread, pushing, loose = KEYS[#KEYS - repositories - 2], KEYS[#KEYS - repositories - 1], KEYS[#KEYS - repositories]
local gate = #ARGV - events - 1 - 2 * events - 3
local most_pushes, most_blobs = tonumber(ARGV[gate + 2]), tonumber(ARGV[gate + 3])
local function open_push(r, e)
  local member = names[r] .. ' ' .. e.short .. ' ~' .. e.client
  local is_full = redis.call('ZCARD', loose) >= most_blobs
  if is_full and not redis.call('ZSCORE', loose, member) then member = '*' end
  redis.call('ZADD', loose, now_ms, member)
  local push = names[r] .. ' ~' .. e.client .. ' open'
  if not redis.call('ZSCORE', pushing, push) then
    if redis.call('ZCARD', pushing) >= most_pushes then
      redis.call('ZREMRANGEBYSCORE', pushing, '-inf', now_ms - 30000)
    end
    if redis.call('ZCARD', pushing) >= most_pushes then push = '* * more' end
  end
  redis.call('ZADD', pushing, now_ms, push)
end

local function end_push(r, e)
  local put = tonumber(redis.call('ZSCORE', pushing, names[r] .. ' ' .. e.client .. ' put') or -1)
  for digest in string.gmatch(e.references, '%S+') do
    local member = names[r] .. ' ' .. digest
    redis.call('ZREM', loose, member .. ' ~' .. e.client)
    local asked = redis.call('ZSCORE', loose, member .. ' ' .. e.client)
    if asked and tonumber(asked) <= put then redis.call('ZREM', loose, member .. ' ' .. e.client) end
  end
  if e.references == '' then
    redis.call('ZADD', unread, now_ms, string.format('%s %s %s %.0f', names[r], e.short, e.client, put))
    redis.call('ZREMRANGEBYRANK', unread, 0, -1 - most_pushes)
  end
  if e.tag ~= '' then redis.call('ZREM', pushing, names[r] .. ' ~' .. e.client .. ' open') end
end

-- Our own traffic changes nothing, but a delete of ours that took along a tag which is not doomed must be healed.
local function own(r, e)
  count('own')
  if e.action == 'push' or e.action == 'mount' then count('own push') end
  if e.action ~= 'delete' or e.tag == '' then return end
  local digest = stood_at(r, e.tag)
  if digest and redis.call('HEXISTS', key(r, 6), digest) == 0 then
    look_at(r, e.tag, false)
    changed(r)
    mark_due(r)
  end
end

for _ = 1, rejected do
  redis.call('XADD', KEYS[9], 'MAXLEN', '~', keep_rejected, '*', 'reason', ARGV[at + 1], 'excerpt', ARGV[at + 2])
  count('rejected')
  at = at + 2
end

local recorded, duplicates = 0, 0
for nth = 1, events do
  local e = {
    id = ARGV[at + 1], at_us = ARGV[at + 2], at = tonumber(ARGV[at + 2]), action = ARGV[at + 3],
    tag = ARGV[at + 5], digest = ARGV[at + 6], short = ARGV[at + 7], size = ARGV[at + 8],
    index = ARGV[at + 9] == '1', children = ARGV[at + 10], actor = ARGV[at + 11], agent = ARGV[at + 12],
    address = ARGV[at + 13], instance = ARGV[at + 14], kind = ARGV[at + 15], media = ARGV[at + 16],
    layers = ARGV[#ARGV - events + nth], client = ARGV[gate + 2 + 2 * nth], references = ARGV[gate + 3 + 2 * nth],
  }
  local r = tonumber(ARGV[at + 4])
  at = at + 16
  if redis.call('SISMEMBER', KEYS[2], e.id) == 1 or redis.call('SADD', KEYS[1], e.id) == 0 then
    duplicates = duplicates + 1
    count('duplicate')
  else
    recorded = recorded + 1
    count(e.action)
    if e.instance ~= '' and redis.call('ZADD', KEYS[5], 'NX', now_ms, e.instance) == 1 then
      redis.call('INCR', KEYS[6])
      redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -65)
    end
    if e.kind == 'own' then own(r, e)
    elseif e.kind == 'blob' then
      count('blob')
      if e.action ~= 'pull' and e.action ~= 'delete' then open_push(r, e) end
    elseif e.action == 'push' then
      push(r, e)
      end_push(r, e)
    elseif e.action == 'pull' then pull(r, e)
    elseif e.action == 'delete' then delete(r, e)
    end
  end
end
if recorded > 0 then
  redis.call('EXPIRE', KEYS[1], seen_life)
  redis.call('SET', KEYS[13], now_ms)
end
for _, key in ipairs({unread, pushing, loose}) do redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms - tonumber(ARGV[gate + 1])) end

local result = {recorded, duplicates}
for i = 1, repositories do
  if newly[names[i]] then result[#result + 1] = names[i] end
end
return result
