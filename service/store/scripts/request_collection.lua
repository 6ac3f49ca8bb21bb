-- Somebody asks for a collection, or for a dry run of one: whatever keeps it waiting is asked about anew.
--
-- KEYS  1 gc:due or gc:dry  2 gc:retry  3 gc:waiting
-- ARGV  1 the reason  2 life of the wish (ms; 0 = until it is met)
redis.call('SET', KEYS[1], ARGV[1])
if tonumber(ARGV[2]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
redis.call('DEL', KEYS[2], KEYS[3])
return 1
