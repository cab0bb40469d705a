--[[
  Reads jobs that wait in groups, one group after the other; changes nothing.

  KEYS   1 meta
  ARGV   1 prefix  2 first place, from 0  3 how many  4 group, or "" for all, by name
  Reply  job id, hash, ...
]]
local at, skip, left = ARGV[1] .. "groups:", tonumber(ARGV[2]), tonumber(ARGV[3])
local found, place = {}, 0
while left > 0 do
  local group = ARGV[4]
  if group == "" then group = redis.call("ZRANGE", at .. "all", place, place)[1] end
  if not group then break end
  local jobs = at .. "jobs:" .. group
  local size = redis.call("ZCARD", jobs)
  if skip >= size then
    skip = skip - size
  else
    for _, id in ipairs(redis.call("ZRANGE", jobs, skip, skip + left - 1)) do
      left = left - 1
      found[#found + 1], found[#found + 2] = id, redis.call("HGETALL", ARGV[1] .. id)
    end
    skip = 0
  end
  if ARGV[4] ~= "" then break end
  place = place + 1
end
return found
