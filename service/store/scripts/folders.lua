-- Return the folders directly below a path, each with the number of repositories in it, in order. Changes nothing. Stops
-- after `most` folders or some thousand repositories, because a script blocks Redis while it runs.
--
-- KEYS  by_name
-- ARGV  path   ends in "/"; '' = the top
--       start  where the call before stopped; '' = at the beginning
--       most   folders
-- Result where to go on, '' at the end; then folder, number, …
local MOST_READ = 5000
most = tonumber(most)
-- "0" is the character after "/": all names below shop/ come before shop0.
local function behind(folder) return '(' .. string.sub(folder, 1, -2) .. '0' end

local last = path == '' and '+' or behind(path)
local at = start == '' and (path == '' and '-' or '[' .. path) or start
local answer, read, page = {''}, 0, 4
while read < MOST_READ and #answer <= 2 * most do
  local names, has_folder = redis.call('ZRANGEBYLEX', all.by_name, at, last, 'LIMIT', 0, page), false
  if #names == 0 then return answer end
  read = read + #names
  at = '(' .. names[#names]
  for _, name in ipairs(names) do
    local slash = string.find(name, '/', #path + 1, true)
    if slash then
      local folder = string.sub(name, 1, slash)
      answer[#answer + 1] = folder
      answer[#answer + 1] = redis.call('ZLEXCOUNT', all.by_name, '[' .. folder, behind(folder))
      at = '[' .. string.sub(behind(folder), 2)
      has_folder = true
      break
    end
  end
  -- Behind a folder comes another one most of the time; a long row of repositories without one is read in large pages.
  page = has_folder and 4 or math.min(page * 2, 500)
end
answer[1] = at
return answer
