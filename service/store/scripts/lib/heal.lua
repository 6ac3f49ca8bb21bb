-- Have a tag, or a digest, checked at a time (ms): a delete by pushprune may have removed it.
-- send_ms: when the sweep sends the repository to healing. Needs the keys heal:R and healing.
local function check_at(r, repository, member, at_ms, send_ms)
  redis.call('ZADD', r.heal, at_ms, member)
  redis.call('ZADD', all.healing, 'LT', send_ms, repository)
end
