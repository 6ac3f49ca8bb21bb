-- Finds out if the clock of Redis was set back, and shortens every wait that was counted by the old time. Otherwise each
-- of them lasts for as long as the clock went back.
--
-- Nothing ends early that protects something: a lease ends no sooner than if its holder had renewed it right now.
--
-- KEYS  clock due doomed healing late:due late:doomed late:healing attempts writers lease:collect workers gates pushing
--       unreferenced unread_manifests gc:retry reconcile:pause reconcile:sent change_limit
-- ARGV  1 a smaller step (ms) is none  2 longest lease (ms)  3 longest stay of a writer (ms)
-- Result by how much the clock went back since the last call (ms), 0 = it did not
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local before_ms = tonumber(redis.call('GET', all.clock) or now_ms)
redis.call('SET', all.clock, now_ms)
local back_ms = before_ms - now_ms
if back_ms < tonumber(ARGV[1]) then return 0 end

-- Members with a later time than `latest`, each set to the time that `change` makes of it.
local function earlier(key, latest, change)
  local members = redis.call('ZRANGEBYSCORE', key, '(' .. string.format('%.0f', latest), '+inf', 'WITHSCORES')
  for i = 1, #members, 2 do redis.call('ZADD', key, change(tonumber(members[i + 1])), members[i]) end
end
local function shifted(at_ms) return math.max(at_ms - back_ms, now_ms) end
local function now() return now_ms end

-- What waits for a time. A plan that is made too early is made again.
for _, key in ipairs({all.due, all.doomed, all.healing}) do earlier(key, now_ms, shifted) end
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

-- What was seen last at a time: now, at the latest.
local seen = {all['late:due'], all['late:doomed'], all['late:healing'], all.workers, all.gates, all.pushing, all.unreferenced,
              all.unread_manifests}
for _, key in ipairs(seen) do earlier(key, now_ms, now) end

-- What protects something. Whoever holds it, and lives, renews it.
local last_ms = now_ms + tonumber(ARGV[3])
earlier(all.writers, last_ms, function() return last_ms end)
if redis.call('PTTL', all['lease:collect']) > tonumber(ARGV[2]) then redis.call('PEXPIRE', all['lease:collect'], ARGV[2]) end
return back_ms
