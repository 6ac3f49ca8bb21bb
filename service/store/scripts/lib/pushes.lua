-- Note a change for the plans that are under way: a push that pointed a tag at a manifest or added one without a tag, or an
-- index that was read. It did nothing else that a plan relies on. is_image: it is known what the manifest needs: nothing.
-- Every other change of the generation is not in this list (`pushes_since`). Needs the key pushes:R.
local MOST_PUSHES = 256
local function note_push(r, generation, short, tag, is_image)
  local noted = redis.call('RPUSH', r.pushes, string.format('%.0f %s %s', generation, short, tag) .. (is_image and '' or ' ?'))
  if noted > MOST_PUSHES then redis.call('LPOP', r.pushes) end
  redis.call('EXPIRE', r.pushes, 300)
end
