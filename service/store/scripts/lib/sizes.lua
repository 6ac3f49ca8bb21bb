-- Return the size of an image: the sum of its config and layers in layers:R, '0' if they are not known.
-- Needs the key layers:R.
local function image_size(r, short)
  local size_bytes = 0
  for size in string.gmatch(redis.call('HGET', r.layers, short) or '', ':(%S+)') do
    size_bytes = size_bytes + tonumber(size, 36)
  end
  return string.format('%.0f', size_bytes)
end
