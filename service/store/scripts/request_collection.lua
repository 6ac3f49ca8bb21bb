-- Request a collection, or a dry run of one. Everything that delayed an earlier request is checked anew.
--
-- KEYS  NAME gc:retry gc:waiting
-- ARGV  reason
--       life_ms  0 = until it ran
-- Result 1
redis.call('SET', all.NAME, reason)
if tonumber(life_ms) > 0 then redis.call('PEXPIRE', all.NAME, life_ms) end
redis.call('DEL', all['gc:retry'], all['gc:waiting'])
return 1
