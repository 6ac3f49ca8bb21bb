-- Note in deleted:R that a deletion can be restored. field: "<tag> <short digest>", or "@<short digest>" without a tag.
-- Needs lib/clock and the argument deleted_s, how long a deletion can be restored.
local function note_restorable(r, field, short, pushed_us, size, reason)
  redis.call('HSET', r.deleted, field, short .. ' ' .. pushed_us .. ' ' .. now_us .. ' ' .. size .. ' ' .. reason)
  redis.call('EXPIRE', r.deleted, deleted_s)
end
