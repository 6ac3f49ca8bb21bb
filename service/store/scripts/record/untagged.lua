-- Part of record: manifests that lose their index.

-- Note that the parts of a deleted index lost it, unless they were deleted later themselves.
local function untag_children(r, links, at_us, index)
  for child in string.gmatch(links, 'child=(%S+)') do
    if void_until(r, '@' .. short_of(child)) < tonumber(at_us) then untag(r, child, at_us, '', ' part ' .. index) end
  end
end
