--[[
  Removes jobs that wait in a group, the first in line first.

  The functions above this point are BullMQ's and those of groups.lua.

  KEYS   1 meta  2 events
  ARGV   1 prefix  2 now in ms  3 group  4 how many to look at  5 from which place  6 added before this ms, or ""
  Reply  { ids removed,  how many were looked at }
]]
local prefix, group, start, before = ARGV[1], ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6])
local groups = open_groups(prefix, tonumber(ARGV[2]))
local ids = rcall("ZRANGE", prefix .. "groups:jobs:" .. group, start, start + tonumber(ARGV[4]) - 1)
local removed = {}
local most = getOrSetMaxEvents(KEYS[1])
for _, id in ipairs(ids) do
  local added = tonumber(rcall("HGET", prefix .. id, "timestamp"))
  if not before or not added or added <= before then
    groups.lift(id, group)
    removeJob(id, true, prefix, true)
    rcall("XADD", KEYS[2], "MAXLEN", "~", most, "*", "event", "removed", "jobId", id, "prev", "waiting")
    removed[#removed + 1] = id
  end
end
groups.close(rcall("HEXISTS", KEYS[1], "paused") == 1)
return { removed, #ids }
