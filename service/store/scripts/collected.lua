-- A collection was made.
--
-- KEYS  1 gc:due  2 gc:retry  3 gc:deletes  4 gc:bytes  5 gc:waiting
-- ARGV  1 the reason it took on: another that came meanwhile stands  2 deletes it covers  3 bytes that these came to
-- Result deletes that are left
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1], KEYS[2], KEYS[5]) end
local function left(key, covered)
  local count = math.max(0, tonumber(redis.call('GET', key) or '0') - tonumber(covered))
  redis.call('SET', key, string.format('%.0f', count))
  return count
end
left(KEYS[4], ARGV[3])
return left(KEYS[3], ARGV[2])
