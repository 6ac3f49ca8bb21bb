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
