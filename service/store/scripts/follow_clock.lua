-- Find out if the clock of Redis was set back, and shorten every wait that was counted by the old time. Otherwise each of
-- them would last longer by the step of the clock.
--
-- What protects something does not end early: a lease ends no sooner than if its holder had renewed it right now.
--
-- KEYS  clock due doomed healing late:due late:doomed late:healing attempts writers lease:collect workers gates pushing
--       manifest_puts unreferenced unread_manifests gc:retry reconcile:pause reconcile:sent change_limit
-- ARGV  least_step_ms      a smaller step is ignored
--       longest_lease_ms
--       longest_permit_ms  the longest life of a write permit
-- Result by how much the clock was set back since the last call (ms), or 0
-- include lib/clock
local before_ms = tonumber(redis.call('GET', all.clock) or now_ms)
redis.call('SET', all.clock, now_ms)
local back_ms = before_ms - now_ms
if back_ms < tonumber(least_step_ms) then return 0 end

-- Change the time of each member that has a later one than latest_ms. change: old time → new time.
local function bring_forward(key, latest_ms, change)
  local members = redis.call('ZRANGEBYSCORE', key, '(' .. string.format('%.0f', latest_ms), '+inf', 'WITHSCORES')
  for i = 1, #members, 2 do redis.call('ZADD', key, change(tonumber(members[i + 1])), members[i]) end
end
local function shifted(at_ms) return math.max(at_ms - back_ms, now_ms) end
local function now() return now_ms end

-- What waits for a time. A plan that is made too early is made again.
for _, key in ipairs({all.due, all.doomed, all.healing}) do bring_forward(key, now_ms, shifted) end
local attempts = redis.call('HGETALL', all.attempts)
for i = 1, #attempts, 2 do
  if string.sub(attempts[i], -6) == ' until' and tonumber(attempts[i + 1]) > now_ms then
    redis.call('HSET', all.attempts, attempts[i], string.format('%.0f', shifted(tonumber(attempts[i + 1]))))
  end
end
for _, key in ipairs({all['gc:retry'], all['reconcile:pause'], all['reconcile:sent'], all.change_limit}) do
  local left_ms = redis.call('PTTL', key)
  if left_ms > 0 then redis.call('PEXPIRE', key, math.max(left_ms - back_ms, 1)) end
end

-- What was last seen at a time: now, at the latest.
local seen = {all['late:due'], all['late:doomed'], all['late:healing'], all.workers, all.gates, all.pushing,
              all.manifest_puts, all.unreferenced, all.unread_manifests}
for _, key in ipairs(seen) do bring_forward(key, now_ms, now) end

-- What protects something. Its holder renews it if it lives.
local last_ms = now_ms + longest_permit_ms
bring_forward(all.writers, last_ms, function() return last_ms end)
if redis.call('PTTL', all['lease:collect']) > tonumber(longest_lease_ms) then
  redis.call('PEXPIRE', all['lease:collect'], longest_lease_ms)
end
return back_ms
