--[[
  Looks at one group; changes nothing.

  KEYS   1 meta
  ARGV   1 prefix  2 group  3 job id, or ""
  Reply  { state hash (active, next, rest by hand),  {priority, how many wait, ...},  msgpack set by hand or "",
           msgpack default or "",  place of the job in line from 0 or -1 }
]]
local CLASS = 4294967296
local at = ARGV[1] .. "groups:"
local jobs = at .. "jobs:" .. ARGV[2]
local waiting, from = {}, "-inf"
while #waiting < 200 do
  local first = redis.call("ZRANGEBYSCORE", jobs, from, "+inf", "WITHSCORES", "LIMIT", 0, 1)[2]
  if not first then break end
  local class = math.floor(tonumber(first) / CLASS)
  local beyond = string.format("%.0f", (class + 1) * CLASS)
  waiting[#waiting + 1] = class
  waiting[#waiting + 1] = redis.call("ZCOUNT", jobs, class * CLASS, "(" .. beyond)
  from = beyond
end
local state = redis.call("HGET", at .. "states", ARGV[2])
local said = state and cmsgpack.unpack(state)
if not said then
  local pace = redis.call("GET", at .. "pace:" .. ARGV[2])
  pace = pace and cmsgpack.unpack(pace) or { 0, 0 }
  said = { 0, 0, "", pace[1], pace[2] }
end
local function text(number) return string.format("%.17g", number) end
return {
  { text(said[1]), text(said[4]), text(said[5]) }, waiting,
  redis.call("HGET", at .. "limits", ARGV[2]) or "", redis.call("GET", at .. "default") or "",
  ARGV[3] ~= "" and redis.call("ZRANK", jobs, ARGV[3]) or -1,
}
