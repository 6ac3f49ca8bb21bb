-- Note the sizes of images in their live tags. A tag that points at another image by now is left alone.
--
-- KEYS  live:R
-- ARGV  sizes(tag short size)
-- include lib/live
for _, tag in ipairs(sizes) do
  local live = redis.call('HGET', r.live, tag.tag)
  if points_at(live, tag.short) then
    local mark, actor = string.match(live, '^%S+ %d+(!?) (.*)$')
    redis.call('HSET', r.live, tag.tag, tag.short .. ' ' .. tag.size .. mark .. ' ' .. actor)
  end
end
