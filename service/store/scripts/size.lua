-- Note the sizes of images in their live tags. A tag that points at another image by now is left alone.
--
-- KEYS  live:R relabeled
-- ARGV  repository
--       sizes(tag short size)
-- include lib/live
-- include lib/relabel
for _, tag in ipairs(sizes) do
  local live = redis.call('HGET', r.live, tag.tag)
  if points_at(live, tag.short) then
    local mark, actor = string.match(live, '^%S+ %d+(!?) (.*)$')
    relabel(r, repository, tag.tag, tag.short .. ' ' .. tag.size .. mark .. ' ' .. actor)
  end
end
