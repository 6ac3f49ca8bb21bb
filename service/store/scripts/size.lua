-- Note the sizes of images in their live tags. A tag that points at another image by now is left alone.
--
-- KEYS  live:R relabeled
-- ARGV  repository
--       sizes(tag short size)
-- include lib/short
-- include lib/live
-- include lib/relabel
for _, tag in ipairs(sizes) do
  local live = redis.call('HGET', r.live, tag.tag)
  if points_at(live, tag.short) then
    local digest, _, mark, actor = parts_of(live)
    relabel(r, repository, tag.tag, digest .. tag.size .. mark .. actor)
  end
end
