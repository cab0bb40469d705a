--[[
  Takes a job out of the line of its group, or puts it elsewhere in it.

  The functions above this point are BullMQ's and those of groups.lua.

  KEYS   1 meta  2 job's hash
  ARGV   1 prefix  2 now in ms  3 job id  4 group  then, to put it back: 5 priority  6 "1" to go before its equals
  Reply  1, or 0 if it did not wait there
]]
local groups = open_groups(ARGV[1], tonumber(ARGV[2]))
if not groups.lift(ARGV[3], ARGV[4]) then return 0 end
if ARGV[5] then
  rcall("HSET", KEYS[2], "priority", ARGV[5])
  groups.put(ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6] == "1")
end
groups.close(rcall("HEXISTS", KEYS[1], "paused") == 1)
return 1
