-- Give a write permit for the registry, or renew it, unless a collection runs or waits. The gate also shows a collection
-- whose holder has lost its lease, and whose collector may still run.
--
-- KEYS  lease:collect writers gate
-- ARGV  token
--       life_ms
--       is_renewal  1 to renew. A renewal is granted while a collection waits: the collection waits until the writer leaves.
--       heals       1 if the writer restores what a delete removed by accident. A draining gate waits for it.
-- Result 1 if the writer may write, else 0
-- include lib/clock
redis.call('ZREMRANGEBYSCORE', all.writers, '-inf', '(' .. now_ms)
if is_renewal == '1' then
  if not redis.call('ZSCORE', all.writers, token) then return 0 end
elseif redis.call('EXISTS', all['lease:collect'], all.gate) > 0 then
  if heals ~= '1' or redis.call('HGET', all.gate, 'state') ~= 'draining' then return 0 end
end
redis.call('ZADD', all.writers, now_ms + life_ms, token)
return 1
