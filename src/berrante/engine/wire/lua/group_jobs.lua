--[[
  Reads jobs that wait in groups, one group after the other; changes nothing.

  KEYS   1 meta
  ARGV   1 prefix  2 first place, from 0  3 how many  4 group, or "" for all, in the order in which Redis keeps them
  Reply  job id, hash, ...
]]
local at, skip, left = ARGV[1] .. "groups:", tonumber(ARGV[2]), tonumber(ARGV[3])
local found = {}

local function read(group)
  local jobs = at .. "jobs:" .. group
  local size = redis.call("ZCARD", jobs)
  if skip >= size then
    skip = skip - size
    return
  end
  for _, id in ipairs(redis.call("ZRANGE", jobs, skip, skip + left - 1)) do
    left = left - 1
    found[#found + 1], found[#found + 2] = id, redis.call("HGETALL", ARGV[1] .. id)
  end
  skip = 0
end

if ARGV[4] ~= "" then
  read(ARGV[4])
  return found
end
local cursor = "0"
repeat
  local page = redis.call("HSCAN", at .. "states", cursor, "COUNT", 100)
  cursor = page[1]
  for i = 1, #page[2], 2 do
    if left > 0 then read(page[2][i]) end
  end
until cursor == "0" or left <= 0
return found
