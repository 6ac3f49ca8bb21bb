-- Remembers which blobs manifests reference that were fetched from the registry, except those deleted meanwhile; as record
-- does for those that are pushed.
--
-- KEYS  layers:R voided:R
-- ARGV  1 manifests to remember per repository; then per manifest: short digest, its layers
for i = 2, #ARGV, 2 do
  local short, layers = ARGV[i], ARGV[i + 1]
  if redis.call('HEXISTS', r.layers, short) == 0 and not redis.call('ZSCORE', r.voided, '@' .. short) then
    local over = redis.call('HLEN', r.layers) + 1 - tonumber(ARGV[1])
    if over > 0 then redis.call('HDEL', r.layers, unpack(redis.call('HRANDFIELD', r.layers, math.min(over, 1000)))) end
    redis.call('HSET', r.layers, short, layers)
  end
end
