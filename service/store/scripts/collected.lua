-- A collection was made.
--
-- KEYS  gc:due gc:retry gc:deletes gc:bytes gc:waiting
-- ARGV  1 the reason it took on: another that came meanwhile stands  2 deletes it covers  3 bytes that these came to
-- Result deletes that are left
if redis.call('GET', all['gc:due']) == ARGV[1] then redis.call('DEL', all['gc:due'], all['gc:retry'], all['gc:waiting']) end
local function left(key, covered)
  local count = math.max(0, tonumber(redis.call('GET', key) or '0') - tonumber(covered))
  redis.call('SET', key, string.format('%.0f', count))
  return count
end
left(all['gc:bytes'], ARGV[3])
return left(all['gc:deletes'], ARGV[2])
