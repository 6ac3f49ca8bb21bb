-- Return the digests that the registry has, as far as is known, read at one moment.
--
-- KEYS  live:R untagged:R
-- Result {values of live:R, fields of untagged:R}
return {redis.call('HVALS', r.live), redis.call('HKEYS', r.untagged)}
