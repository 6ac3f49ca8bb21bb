-- Note the creation dates of images. A creation date counts as the push of a tag whose push was not seen and that still
-- points at the image. If there is no believable date, the tag counts as pushed now, and takes no slot: it may be older than
-- every other tag.
--
-- KEYS  created:R tags:R live:R history:R events dictionary generation by_name by_push by_tags live_tags
-- ARGV  repository
--       history_entries
--       event_entries
--       images(short created_us)  created_us: 0 = its config has none
--       dated(tag digest short created_us source)  tags whose push was not seen. created_us: 0 = now; source: why now
-- include lib/clock
-- include lib/bump
-- include lib/index_tags
-- include lib/short
-- include lib/entry
-- include lib/live
for _, image in ipairs(images) do redis.call('HSET', r.created, image.short, image.created_us) end
local changes = 0
for _, tag in ipairs(dated) do
  local live = redis.call('HGET', r.live, tag.tag)
  if tonumber(redis.call('ZSCORE', r.tags, tag.tag) or 1) == 0 and points_at(live, tag.short) then
    local created_us = tonumber(tag.created_us)
    local is_believed = created_us > 0 and created_us <= tonumber(now_us)
    local at_us = is_believed and tag.created_us or now_us
    redis.call('ZADD', r.tags, at_us, tag.tag)
    if not is_believed then
      -- A tag that was there before pushprune keeps that mark.
      local digest, size, mark, actor = parts_of(live)
      local is_found = actor == '?first' or actor == '?first?'
      redis.call('HSET', r.live, tag.tag, digest .. size .. mark .. (is_found and '?first?' or '?'))
    end
    local reason = is_believed and 'counts as pushed when the image was made, as its config says' or tag.source
    add_entry(r.history, repository, 'dated', {tag = tag.tag, digest = tag.digest, at_us = at_us}, reason)
    changes = changes + 1
  end
end
if changes > 0 then
  bump(repository)
  index_tags(r, repository)
end
