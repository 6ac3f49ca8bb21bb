-- A collection was made.
--
-- KEYS  1 gc:due  2 gc:retry  3 gc:deletes
-- ARGV  1 the reason it took on: another that came meanwhile stands  2 deletes it covers
-- Result deletes that are left
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1], KEYS[2]) end
local left = math.max(0, tonumber(redis.call('GET', KEYS[3]) or '0') - tonumber(ARGV[2]))
redis.call('SET', KEYS[3], left)
return left
