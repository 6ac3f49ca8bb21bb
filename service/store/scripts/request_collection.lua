-- Request a collection, a dry run of one, or an undeletion. Everything that delayed an earlier request is checked anew.
--
-- KEYS  NAME gc:retry gc:waiting gc:grace
-- ARGV  reason
--       life_ms  0 = until it ran
--       grace_s  of this collection; 0 = that of the settings
--       is_collection  1 if a collection is requested
-- Result 1
redis.call('SET', all.NAME, reason)
if tonumber(life_ms) > 0 then redis.call('PEXPIRE', all.NAME, life_ms) end
redis.call('DEL', all['gc:retry'], all['gc:waiting'])
if is_collection == '1' then
  if tonumber(grace_s) > 0 then redis.call('SET', all['gc:grace'], grace_s) else redis.call('DEL', all['gc:grace']) end
end
return 1
