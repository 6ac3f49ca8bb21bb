-- Return the digest of the policy that every worker has read that can read its policy file; nil if there are several, or
-- none. own: that of the worker that calls this; '' = it cannot read its file. Needs the key policy:read.
local function agreed_policy(own)
  local agreed = own ~= '' and own or nil
  for _, member in ipairs(redis.call('ZRANGE', all['policy:read'], 0, -1)) do
    local digest = string.match(member, '%S*$')
    if digest ~= '' and agreed and agreed ~= digest then return nil end
    if digest ~= '' then agreed = digest end
  end
  return agreed
end
