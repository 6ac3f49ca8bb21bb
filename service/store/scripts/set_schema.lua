-- Change the state of the store, if no other process has changed it.
--
-- KEYS  schema
-- ARGV  before  the state that is expected; "" if there is none
--       after   the new state
-- Result 1, or 0 if the state is another one
if (redis.call('GET', all.schema) or '') ~= before then return 0 end
redis.call('SET', all.schema, after)
return 1
