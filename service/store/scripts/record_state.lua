-- What recording an envelope says of a repository: its history, what is due, what is void, what is looked at.

local function count(field) redis.call('HINCRBY', all.counters, field, 1) end

local function log(r, action, e, reason)
  local fields = {'action', action, 'tag', e.tag, 'digest', e.digest, 'size', e.size, 'actor', e.actor,
                  'agent', e.agent, 'address', e.address, 'at_us', e.at_us, 'reason', reason or '', 'rule', '',
                  'media', e.media}
  redis.call('XADD', r.history, 'MAXLEN', '~', limit.history, '*', unpack(fields))
  redis.call('XADD', all.events, 'MAXLEN', '~', limit.events, '*', 'repository', r.name, unpack(fields))
end

local function changed(r) bump(r.name) end

local function mark_due(r)
  local score = redis.call('ZSCORE', all.due, r.name)
  if not score or tonumber(score) > now_ms + limit.resend then
    redis.call('ZADD', all.due, now_ms + limit.resend, r.name)
    r.newly = true
  end
end

-- A DELETE may still be on its way: what is looked at now is looked at again when it must have ended.
local function look_at(r, tag, later)
  redis.call('ZADD', r.heal, now_ms, tag)
  if later then redis.call('ZADD', r.heal, now_ms + limit.again, tag .. ' again') end
  redis.call('ZADD', all.healing, 'LT', now_ms + limit.resend, r.name)
end

-- Look only when a DELETE that is on its way must have ended.
local function look_later(r, tag)
  redis.call('ZADD', r.heal, 'NX', now_ms + limit.again, tag)
  redis.call('ZADD', all.healing, 'LT', now_ms + limit.resend, r.name)
end

-- A write of ours can have met only what happened at the registry before it ended. An event that tells of more may be
-- forged: healing must not put back what was deleted, or move a tag, because of it. A request that was not answered in
-- time may go on at the registry for UNANSWERED_MS of lease.py: a push that it removes must be restored.
local MET_MS = 600000
local function may_have_met_us(r, e)
  local function met(began_us)
    return began_us and e.at <= tonumber(began_us) + (limit.again + MET_MS) * 1000
  end
  local put, touched = redis.call('HGET', r.own_puts, e.tag), redis.call('ZSCORE', r.touched, e.tag)
  if put and met(tonumber(string.match(put, '^%S+ (%d+)') or 0) * 1000) then return true end
  if touched and met(tonumber(touched) * 1000) then return true end
  return redis.call('HEXISTS', r.trash, e.digest) == 1 and met(redis.call('ZSCORE', all.trashed, r.name .. ' ' .. e.digest))
end

-- The plan was made from a state that is gone: plan again before anything more is deleted.
local function drop_plan(r)
  if redis.call('DEL', r.doomed) == 1 then
    redis.call('ZREM', all.doomed, r.name)
    mark_due(r)
  end
end

local function void_until(r, member)
  return tonumber(redis.call('ZSCORE', r.voided, member) or -1)
end

local function make_void(r, member, at_us)
  redis.call('ZADD', r.voided, 'GT', at_us, member)
  redis.call('ZREMRANGEBYRANK', r.voided, 0, -1001)
  redis.call('EXPIRE', r.voided, 86400)
end

local function stood_at(r, tag)
  local standing = redis.call('HGET', r.live, tag)
  return standing and string.sub(standing, 1, string.find(standing, ' ', 1, true) - 1)
end
