-- A web process that serves the gate says that it can be reached, and which closed gate it knows of; it learns the state.
--
-- KEYS  1 gates  2 gates:seen  3 gate  4 gate:opened
-- ARGV  1 process  2 token of the closed gate it knows of, or ''  3 forgotten after (ms)
-- Result {state ('' = open), token, token of the gate that was opened last}
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms - tonumber(ARGV[3]))) do
  redis.call('ZREM', KEYS[1], process)
  redis.call('HDEL', KEYS[2], process)
end
redis.call('ZADD', KEYS[1], now_ms, ARGV[1])
if ARGV[2] ~= '' then redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) else redis.call('HDEL', KEYS[2], ARGV[1]) end
local standing = redis.call('HMGET', KEYS[3], 'state', 'token')
return {standing[1] or '', standing[2] or '', redis.call('GET', KEYS[4]) or ''}
