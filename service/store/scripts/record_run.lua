-- Record how an attempt at a collection ended. For an attempt that must be repeated, the same message is recorded once for
-- each request and then only counted, so that the record does not fill with repetitions.
--
-- KEYS  gc:runs gc:totals gc:waiting gc:retry
-- ARGV  runs_kept
--       result
--       message
--       once      1 if the attempt must be repeated
--       retry_ms  when the next attempt is made; 0 = unchanged
--       blobs
--       bytes
--       ended_ms
--       took_ms
--       fields... of the entry: name, value, name, value, …
-- Result 1 if it was recorded, 0 if it was only counted
if tonumber(retry_ms) > 0 then redis.call('SET', all['gc:retry'], '1', 'PX', retry_ms) end
if once == '1' then
  redis.call('HSETNX', all['gc:waiting'], 'since_ms', ended_ms)
  redis.call('HSET', all['gc:waiting'], 'last', message, 'at_ms', ended_ms)
  -- Messages name repositories and digests. Beyond 50 different messages, all others are counted as one.
  local field = 'said ' .. message
  if redis.call('HEXISTS', all['gc:waiting'], field) == 0 and redis.call('HLEN', all['gc:waiting']) >= 53 then
    field = 'said …'
  end
  if redis.call('HINCRBY', all['gc:waiting'], field, 1) > 1 then return 0 end
end
-- A call whose answer was lost is repeated: the run is recorded already, and webhooks report each entry.
local newest = redis.call('XREVRANGE', all['gc:runs'], '+', '-', 'COUNT', 1)[1]
if once ~= '1' and newest and table.concat(newest[2], '\n') == table.concat(fields, '\n') then return 1 end
redis.call('HINCRBY', all['gc:totals'], 'runs ' .. result, 1)
if result == 'done' then
  redis.call('HINCRBY', all['gc:totals'], 'blobs', blobs)
  redis.call('HINCRBY', all['gc:totals'], 'bytes', bytes)
  redis.call('HSET', all['gc:totals'], 'done_ms', ended_ms, 'took_ms', took_ms)
  redis.call('DEL', all['gc:waiting'])
end
redis.call('XADD', all['gc:runs'], 'MAXLEN', '~', runs_kept, '*', unpack(fields))
return 1
