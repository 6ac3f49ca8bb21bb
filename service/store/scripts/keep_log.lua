-- Keep the log of a collection, and delete the oldest logs: those beyond a number, or beyond a total size.
--
-- KEYS  gc:logs
-- ARGV  started_ms  of the run
--       log         a gzip file, in base64
--       logs        how many are kept
--       most_bytes  of all of them; the newest is kept in any case
-- Result the number of logs that are kept
redis.call('HSET', all['gc:logs'], started_ms, log)
local runs = redis.call('HKEYS', all['gc:logs'])
table.sort(runs, function(one, other) return tonumber(one) > tonumber(other) end)
local kept, total = 0, 0
for _, run in ipairs(runs) do
  total = total + redis.call('HSTRLEN', all['gc:logs'], run)
  if kept == 0 or (kept < tonumber(logs) and total <= tonumber(most_bytes)) then
    kept = kept + 1
  else
    redis.call('HDEL', all['gc:logs'], run)
  end
end
return kept
