-- Takes a time slot, if nobody has it. It is taken from whoever has it for longer than a slot can be: the clock of Redis
-- was set back since.
--
-- KEYS  1 lease:NAME
-- ARGV  1 token  2 length of the slot (ms)
-- Result 1 taken, 0 somebody has it
local left_ms = redis.call('PTTL', KEYS[1])
if left_ms > 0 and left_ms <= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
