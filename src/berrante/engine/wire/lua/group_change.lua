--[[
  Changes what was set by hand for a group, or for all that have nothing of their own, and lets it take effect.

  The functions above this point are BullMQ's and those of groups.lua.

  KEYS   1 meta
  ARGV   1 prefix  2 now in ms  3 group  4 what: "set" limits, "clear" limits, "pause", "resume", "rest", "wake"
         5 set: limits as msgpack; rest: ms; wake: ms after which the rest is over
  Reply  1 if anything changed
]]
local prefix, now, group, what = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local groups, limits = open_groups(prefix, now), prefix .. "groups:limits"

if what == "rest" or what == "wake" then
  if what == "rest" then groups.rest(group, tonumber(ARGV[5])) else groups.wake(group, tonumber(ARGV[5])) end
  groups.close(rcall("HEXISTS", KEYS[1], "paused") == 1)
  return 1
end
local said = rcall("HGET", limits, group)
local set = said and cmsgpack.unpack(said) or {}
if (what == "clear" and not set.l) or (what == "pause" and set.p) or (what == "resume" and not set.p) then return 0 end
if what == "set" then set.l = cmsgpack.unpack(ARGV[5]) end
if what == "clear" then set.l = nil end
if what == "pause" then set.p = true end
if what == "resume" then set.p = nil end
if next(set) then rcall("HSET", limits, group, cmsgpack.pack(set)) else rcall("HDEL", limits, group) end
groups.reconsider(group)
groups.close(rcall("HEXISTS", KEYS[1], "paused") == 1)
return 1
