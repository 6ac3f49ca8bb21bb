-- Note that a worker has read the manifests that tags point at, and when their links in the storage were written. An index
-- that an event called an image is known as an index from now on. A push that was reported with a later time than its link
-- has gets the time of the link, which no event can forge.
--
-- KEYS  live:R tags:R links:R history:R events dictionary generation due by_name by_push by_tags live_tags relabeled
-- ARGV  repository
--       history_entries
--       event_entries
--       resend_ms
--       proofs(tag digest short is_index pushed_us link_us)  pushed_us: the tag's time when it was read; link_us: of its
--         link, '' = its time is right
-- Result the number of tags that changed
-- include lib/clock
-- include lib/bump
-- include lib/index_tags
-- include lib/short
-- include lib/entry
-- include lib/live
-- include lib/relabel
local changes = 0
for _, proof in ipairs(proofs) do
  local live = redis.call('HGET', r.live, proof.tag)
  local score = redis.call('ZSCORE', r.tags, proof.tag)
  -- A push that was reported meanwhile is proved later.
  if points_at(live, proof.short) and score and tonumber(score) == tonumber(proof.pushed_us) then
    local digest, size, _, actor = parts_of(live)
    relabel(r, repository, proof.tag, digest .. size .. '!' .. actor)
    local changed = 0
    if proof.is_index == '1' then changed = redis.call('HSETNX', r.links, proof.digest, '0 ?') end
    if proof.link_us ~= '' then
      redis.call('ZADD', r.tags, proof.link_us, proof.tag)
      add_entry(r.history, repository, 'dated', {tag = proof.tag, digest = proof.digest, at_us = proof.link_us},
                'its push was reported with a later time than its link in the storage has, which counts')
      changed = 1
    end
    changes = changes + changed
  end
end
if changes > 0 then
  bump(repository)
  index_tags(r, repository)
  redis.call('ZADD', all.due, 'NX', now_ms + resend_ms, repository)
end
return changes
