--[[
  Says that runs of groups are over that ended elsewhere: in BullMQ's own scripts, or with their worker.

  The functions above this point are BullMQ's and those of groups.lua.

  KEYS   1 meta  2 active
  ARGV   1 prefix  2 now in ms  3 which: "these", then job id, group, ...
         or "lost": all that are held and not active, but for the job ids that follow, which a turn is going to file
  Reply  how many were released
]]
local prefix, now = ARGV[1], tonumber(ARGV[2])
local ended = {}
if ARGV[3] == "these" then
  for i = 4, #ARGV do ended[i - 3] = ARGV[i] end
else
  local held = rcall("HGETALL", prefix .. "groups:held")
  if #held == 0 then return 0 end
  local alive = {}
  for _, id in ipairs(rcall("LRANGE", KEYS[2], 0, -1)) do alive[id] = true end
  for i = 4, #ARGV do alive[ARGV[i]] = true end
  for i = 1, #held, 2 do
    if not alive[held[i]] then
      ended[#ended + 1], ended[#ended + 2] = held[i], held[i + 1]
    end
  end
end
local groups, released = open_groups(prefix, now), 0
for i = 1, #ended, 2 do
  if groups.release(ended[i], ended[i + 1]) then released = released + 1 end
end
groups.close(rcall("HEXISTS", KEYS[1], "paused") == 1)
return released
