-- Remembers which blobs manifests reference that were fetched from the registry, except those deleted meanwhile; as record
-- does for those that are pushed.
--
-- KEYS  1 layers:R  2 gone:R
-- ARGV  1 manifests to remember per repository; then per manifest: short digest, its layers
for i = 2, #ARGV, 2 do
  local short, layers = ARGV[i], ARGV[i + 1]
  if redis.call('HEXISTS', KEYS[1], short) == 0 and not redis.call('ZSCORE', KEYS[2], '@' .. short) then
    local over = redis.call('HLEN', KEYS[1]) + 1 - tonumber(ARGV[1])
    if over > 0 then redis.call('HDEL', KEYS[1], unpack(redis.call('HRANDFIELD', KEYS[1], math.min(over, 1000)))) end
    redis.call('HSET', KEYS[1], short, layers)
  end
end
