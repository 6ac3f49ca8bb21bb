-- Note that a collection ran, and subtract the deletions that it covers.
--
-- KEYS  gc:due gc:retry gc:deletes gc:bytes gc:waiting gc:grace gc:traces
-- ARGV  reason           of the request that it served. A request with another reason came meanwhile, and stays.
--       covered_deletes
--       covered_bytes
-- Result the number of deletions that remain
if redis.call('GET', all['gc:due']) == reason then
  redis.call('DEL', all['gc:due'], all['gc:retry'], all['gc:waiting'], all['gc:grace'])
end
redis.call('DEL', all['gc:traces'])
local function subtract(key, covered)
  local count = math.max(0, tonumber(redis.call('GET', key) or '0') - tonumber(covered))
  redis.call('SET', key, string.format('%.0f', count))
  return count
end
subtract(all['gc:bytes'], covered_bytes)
return subtract(all['gc:deletes'], covered_deletes)
