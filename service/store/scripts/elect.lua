-- Take a time slot, if no other process has it. A slot that lasts for longer than a slot can is free: the clock of Redis
-- was set back since it was taken.
--
-- KEYS  lease:NAME
-- ARGV  token
--       slot_ms
-- Result 1 if it was taken, 0 if another process has it
local left_ms = redis.call('PTTL', all['lease:NAME'])
if left_ms > 0 and left_ms <= tonumber(slot_ms) then return 0 end
redis.call('SET', all['lease:NAME'], token, 'PX', slot_ms)
return 1
