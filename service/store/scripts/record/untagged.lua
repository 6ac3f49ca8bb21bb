-- Part of record: manifests that lose their index.

-- The short form of a digest, as in keys.py.
local BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
local function short_of(digest)
  local hexadecimal = string.match(digest, '^sha256:(%x+)$')
  if not hexadecimal or #hexadecimal ~= 64 then return digest end
  local text = {}
  for i = 1, 64, 3 do
    local bits = tonumber(string.sub(hexadecimal .. '00', i, i + 2), 16)
    for _, six in ipairs({math.floor(bits / 64), bits % 64}) do text[#text + 1] = string.sub(BASE64, six + 1, six + 1) end
  end
  return table.concat(text, '', 1, 43)
end

-- Note that the parts of a deleted index lost it, unless they were deleted later themselves.
local function untag_children(r, links, at_us, index)
  for child in string.gmatch(links, 'child=(%S+)') do
    if void_until(r, '@' .. short_of(child)) < tonumber(at_us) then untag(r, child, at_us, '', ' part ' .. index) end
  end
end
