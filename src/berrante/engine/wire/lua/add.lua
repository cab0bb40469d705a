--[[
  Adds many jobs in order, with what BullMQ's add scripts do once per job done once per call where it comes to the same.
  No parents, no deduplication, no schedulers: those go through BullMQ's own scripts.

  The functions above this point are BullMQ's own, cut from moveToFinished (see scripts.extended).

  KEYS   1 wait  2 paused  3 meta  4 id  5 completed  6 delayed  7 active  8 events  9 marker  10 prioritized  11 pc
  ARGV   1 prefix  2 now in ms
         then per job: id or "", name, data (JSON), options (JSON), delay in ms, priority, "1" if last in is first out or "";
           or, of a job of a group, "g" (or "G" if last in is first out) and the group
  Reply  the ids, in order
]]
local wait, meta, counter, delayed, active = KEYS[1], KEYS[3], KEYS[4], KEYS[6], KEYS[7]
local events, marker, prioritized, pc = KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local prefix, now = ARGV[1], ARGV[2]
local FIELDS = 7
local n = (#ARGV - 2) / FIELDS

local next_id = rcall("INCRBY", counter, n) - n -- custom ids use up a number too
local most = getOrSetMaxEvents(meta)
local shut = isQueuePausedOrMaxed(meta, active)
local ids, line = {}, {}
local waits, groups = false, nil

local function push_line()
  if #line > 0 then rcall("LPUSH", wait, unpack(line)) end
  line = {}
end

-- Asked of all at once: which ids are there already. What this call itself made is in `made`.
local named, made, some_known, held_by = {}, {}, false, nil
for at = 3, #ARGV, FIELDS do
  local id = ARGV[at]
  next_id = next_id + 1
  if id == "" then id = string.format("%.0f", next_id) else named[#named + 1] = prefix .. id end
  ids[#ids + 1] = id
end
if #named > 0 then some_known = rcall("EXISTS", unpack(named)) > 0 end

for at = 3, #ARGV, FIELDS do
  local place = (at - 3) / FIELDS + 1
  local id, custom = ids[place], ARGV[at] ~= ""
  local name, delay, priority = ARGV[at + 1], ARGV[at + 4], ARGV[at + 5]
  local key = prefix .. id
  if custom and (made[id] or some_known and rcall("EXISTS", key) == 1) then
    rcall("XADD", events, "MAXLEN", "~", most, "*", "event", "duplicated", "jobId", id)
  else
    made[id] = true
    local how = ARGV[at + 6]
    local group = how ~= "" and how ~= "1" and string.sub(how, 2)
    if group then
      rcall("HSET", key, "name", name, "data", ARGV[at + 2], "opts", ARGV[at + 3], "timestamp", now, "delay", delay,
        "priority", priority, "gid", group)
    else
      rcall("HSET", key, "name", name, "data", ARGV[at + 2], "opts", ARGV[at + 3], "timestamp", now, "delay", delay,
        "priority", priority)
    end
    rcall("XADD", events, "*", "event", "added", "jobId", id, "name", name)
    if delay ~= "0" then
      addDelayedJob(id, delayed, events, now, most, marker, delay)
    elseif group then
      if not groups then
        groups = open_groups(prefix, tonumber(now))
        local names = {}
        for i = at + 6, #ARGV, FIELDS do
          if #ARGV[i] > 1 then names[#names + 1] = string.sub(ARGV[i], 2) end
        end
        groups.load(names)
        held_by = groups.held_by(ids)
      end
      groups.put(id, group, tonumber(priority), string.byte(how) == 71, not held_by[place])
      rcall("XADD", events, "MAXLEN", "~", most, "*", "event", "waiting", "jobId", id)
    else
      if priority ~= "0" then
        rcall("ZADD", prioritized, getPriorityScore(tonumber(priority), pc), id)
      elseif how == "1" then
        push_line()
        rcall("RPUSH", wait, id)
      else
        line[#line + 1] = id
      end
      waits = true
      rcall("XADD", events, "MAXLEN", "~", most, "*", "event", "waiting", "jobId", id)
    end
  end
end
push_line()
if groups then groups.close(shut) end
if waits then addBaseMarkerIfNeeded(marker, shut) end
return ids
