-- Return the id of this start of the Redis server. Changes nothing.
--
-- Result the id; '' if the server does not say it
return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
