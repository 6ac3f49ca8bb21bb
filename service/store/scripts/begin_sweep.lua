-- Record that a collection begins to delete blobs, unless its request was cancelled. One script, so that a user who is
-- told that the collection is cancelled is right.
--
-- KEYS  gc:due gc:unverified
-- ARGV  sweep  JSON
-- Result 1, or 0 if no collection is requested any more
if redis.call('EXISTS', all['gc:due']) == 0 then return 0 end
redis.call('SET', all['gc:unverified'], sweep)
return 1
