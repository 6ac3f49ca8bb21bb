-- Return the time of a tag's last push and its value in live:R, read at one moment.
--
-- KEYS  tags:R live:R
-- ARGV  tag
-- Result {time, value}
return {redis.call('ZSCORE', r.tags, tag), redis.call('HGET', r.live, tag)}
