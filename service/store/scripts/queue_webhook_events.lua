-- Put what happened since the last look of a webhook into its queue, and record how far it has looked. What the queue has no
-- room for, or has kept for too long, is dropped: the oldest first.
--
-- KEYS  webhook:NAME webhook_queue:NAME webhook_held:NAME held
-- ARGV  look        the number of looks so far; another worker may have looked meanwhile
--       entries_id  the last entry of events that was read
--       runs_id     the last entry of gc:runs that was read
--       troubles    JSON of the troubles that are known
--       is_first    1 if nothing was known before: all holds are known now
--       most        events in the queue
--       keep_ms     how long an event is kept
--       life_s      how long the keys are kept after the last look
--       held...     repositories with a hold that is new
--       ended...    repositories whose hold has ended
--       events...   JSON
-- Result 1 if this look counts, 0 if another worker has looked meanwhile
-- include lib/clock
local state, queue = all['webhook:NAME'], all['webhook_queue:NAME']
if (redis.call('HGET', state, 'look') or '0') ~= look then return 0 end
redis.call('HINCRBY', state, 'look', 1)
redis.call('HSET', state, 'entries_id', entries_id, 'runs_id', runs_id, 'troubles', troubles)
if is_first == '1' then redis.call('SUNIONSTORE', all['webhook_held:NAME'], all.held) end
for _, repository in ipairs(held) do redis.call('SADD', all['webhook_held:NAME'], repository) end
for _, repository in ipairs(ended) do redis.call('SREM', all['webhook_held:NAME'], repository) end
for _, event in ipairs(events) do redis.call('XADD', queue, '*', 'event', event) end
local oldest_ms = string.format('%.0f', now_ms - tonumber(keep_ms))
local dropped = redis.call('XTRIM', queue, 'MAXLEN', '=', most) + redis.call('XTRIM', queue, 'MINID', '=', oldest_ms)
if dropped > 0 then redis.call('HINCRBY', state, 'dropped', dropped) end
for _, key in ipairs({state, queue, all['webhook_held:NAME']}) do redis.call('EXPIRE', key, life_s) end
return 1
