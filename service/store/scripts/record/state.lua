-- Part of record: counters, the history, and the outbox of a repository.

local function count(field) redis.call('HINCRBY', all.counters, field, 1) end

local function log(r, action, e, reason) add_entry(r.history, r.name, action, e, reason) end

local function mark_due(r)
  local score = redis.call('ZSCORE', all.due, r.name)
  if not score or tonumber(score) > now_ms + resend_ms then
    redis.call('ZADD', all.due, now_ms + resend_ms, r.name)
    r.newly = true
  end
end

-- Check a tag now; and again after a DELETE that may be on its way has ended.
local function check(r, tag, again)
  redis.call('ZADD', r.heal, now_ms, tag)
  if again then redis.call('ZADD', r.heal, now_ms + again_ms, tag .. ' again') end
  redis.call('ZADD', all.healing, 'LT', now_ms + resend_ms, r.name)
end

-- Check only after a DELETE that may be on its way has ended.
local function check_later(r, tag)
  redis.call('ZADD', r.heal, 'NX', now_ms + again_ms, tag)
  redis.call('ZADD', all.healing, 'LT', now_ms + resend_ms, r.name)
end

-- True if a write by pushprune may have met this event. It can have met only what happened at the registry before the write
-- ended. Other events may be forged: healing must not restore what was deleted, or move a tag, because of them. A request
-- that was not answered in time may continue at the registry for UNANSWERED_MS of lease.py: a push that it removes must be
-- restored.
local MET_MS = 600000
local function may_have_met_us(r, e)
  local function has_met(began_us)
    return began_us and e.at <= tonumber(began_us) + (again_ms + MET_MS) * 1000
  end
  local put, touched = redis.call('HGET', r.own_puts, e.tag), redis.call('ZSCORE', r.touched, e.tag)
  if put and has_met(tonumber(string.match(put, '^%S+ (%d+)') or 0) * 1000) then return true end
  if touched and has_met(tonumber(touched) * 1000) then return true end
  return redis.call('HEXISTS', r.trash, e.digest) == 1
    and has_met(redis.call('ZSCORE', all.trashed, r.name .. ' ' .. e.digest))
end

-- Drop the plan, because the state that it was made from has changed: plan again before more is deleted.
local function drop_plan(r)
  if drop_doomed(r, r.name) then mark_due(r) end
end
