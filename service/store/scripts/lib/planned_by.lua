-- Return the digest of the policy by which plans are made; '' if there was none yet. While a changed policy is compared
-- with it, no plan is made. Needs the keys policy and policy:comparison.
local function planned_by()
  if redis.call('EXISTS', all['policy:comparison']) == 1 then return 'a changed policy is compared' end
  return redis.call('GET', all.policy) or ''
end
