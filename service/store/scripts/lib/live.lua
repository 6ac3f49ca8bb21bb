-- Read and write the values of live:R, "<digest><size><mark><actor>" as keys.py describes them; nil for a tag that is not live.
-- A value of another form is an error, so that nothing is deleted because of it. To `record`, WRONGTYPE says that sending the
-- event again would not help. Needs lib/short.

-- Short digests, and the same digests as the values begin with them: of a sha256 "#" and its bytes, another digest in full and
-- a space.
local packed_digests, short_digests = {}, {}
local function note_digest(short, packed) packed_digests[short], short_digests[packed] = packed, short end

local function pack_digest(short)
  if packed_digests[short] then return packed_digests[short] end
  local packed = short .. ' '
  if not string.find(short, ':', 1, true) then
    local bytes = {}
    for i = 1, 43, 4 do
      local bits = 0
      for at = i, i + 3 do
        bits = bits * 64 + string.find(BASE64, string.sub(short .. 'A', at, at), 1, true) - 1
      end
      bytes[#bytes + 1] = string.char(math.floor(bits / 65536), math.floor(bits / 256) % 256, bits % 256)
    end
    packed = '#' .. string.sub(table.concat(bytes), 1, 32)
  end
  note_digest(short, packed)
  return packed
end

-- Each push of a tag to another image needs this, so the letters are read at once.
local function unpack_digest(packed)
  if string.sub(packed, 1, 1) ~= '#' then return string.sub(packed, 1, -2) end
  local letters, bytes, text = {string.byte(BASE64, 1, 64)}, {string.byte(packed, 2, 33)}, {}
  bytes[33] = 0
  for i = 1, 33, 3 do
    local bits, at = bytes[i] * 65536 + bytes[i + 1] * 256 + bytes[i + 2], #text
    local last_18, last_12, last_6 = bits % 262144, bits % 4096, bits % 64
    text[at + 1], text[at + 2] = letters[(bits - last_18) / 262144 + 1], letters[(last_18 - last_12) / 4096 + 1]
    text[at + 3], text[at + 4] = letters[(last_12 - last_6) / 64 + 1], letters[last_6 + 1]
  end
  return string.char(unpack(text, 1, 43))
end

-- Return the digest as it is packed, the size, the mark and the actor.
local function parts_of(live)
  local is_sha256 = string.sub(live, 1, 1) == '#'
  local digest = is_sha256 and string.sub(live, 1, 33) or string.match(live, '^[^ :]+:%S+ ')
  local size, mark, actor = string.match(live, '^(%d+)([!:])(.*)$', #(digest or '') + 1)
  if not digest or not size or string.sub(actor, 1, 1) == ' ' then error('WRONGTYPE live:R has a value of another schema', 0) end
  return digest, size, mark, actor
end

-- Return the short digest.
local function digest_of(live)
  if not live then return live end
  local packed = parts_of(live)
  if not short_digests[packed] then note_digest(unpack_digest(packed), packed) end
  return short_digests[packed]
end

-- Return a digest in full.
local function long_of(short)
  if string.find(short, ':', 1, true) then return short end
  return 'sha256:' .. string.gsub(string.sub(pack_digest(short), 2), '.', function(byte)
    return string.format('%02x', string.byte(byte))
  end)
end

local function size_of(live)
  if not live then return '0' end
  local _, size = parts_of(live)
  return size
end

local function points_at(live, short)
  local digest = pack_digest(short)
  return live and string.sub(live, 1, #digest) == digest
end
