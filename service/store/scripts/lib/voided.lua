-- voided:R: pushes up to a time do not count, because a later deletion is known.
local function void_until(r, member)
  return tonumber(redis.call('ZSCORE', r.voided, member) or -1)
end

local function make_void(r, member, until_us)
  redis.call('ZADD', r.voided, 'GT', until_us, member)
  redis.call('ZREMRANGEBYRANK', r.voided, 0, -1001)
  redis.call('EXPIRE', r.voided, 86400)
end
