-- Remember the config and layers of a manifest in layers:R; beyond max_layers, forget those of random others.
-- Needs the argument max_layers.
local function remember_layers(r, short, layers)
  local known = redis.call('HGET', r.layers, short)
  -- A manifest that did not exist may be pushed without its layers being reported.
  if known == '-' then
    redis.call('HDEL', r.layers, short)
  elseif known then
    return
  end
  if layers == '' then return end
  local over = redis.call('HLEN', r.layers) + 1 - max_layers
  if over > 0 then redis.call('HDEL', r.layers, unpack(redis.call('HRANDFIELD', r.layers, math.min(over, 1000)))) end
  redis.call('HSET', r.layers, short, layers)
end
