-- Cancel the requested collection, unless it began to delete blobs: from then on only its checks can end it.
--
-- KEYS  gc:due gc:waiting gc:unverified gc:grace
-- Result the reason of the request; false if there is none, or if the collection has begun to delete
if redis.call('EXISTS', all['gc:unverified']) == 1 then return false end
local reason = redis.call('GET', all['gc:due'])
redis.call('DEL', all['gc:due'], all['gc:waiting'], all['gc:grace'])
return reason
