-- Add the counts and times that a process measured. The same flush of a process is added once: it sends again what was not
-- answered.
--
-- KEYS  meter flushed:NAME
-- ARGV  number  of this flush; NAME is the process
--       life_s  how long the number is remembered
--       counts(name by)
--       sums(name by)
-- Result 1, or 0 if it was added before
if redis.call('GET', all['flushed:NAME']) == number then return 0 end
for _, count in ipairs(counts) do redis.call('HINCRBY', all.meter, count.name, count.by) end
for _, sum in ipairs(sums) do redis.call('HINCRBYFLOAT', all.meter, sum.name, sum.by) end
redis.call('SET', all['flushed:NAME'], number, 'EX', life_s)
return 1
