--[[
  The second half of a turn: takes jobs up to the free slots. Its names, KEYS and ARGV are those of exchange_settle.lua,
  which stands above it in the same script.
]]
local jobs, broken = {}, {}

local function answer(limited, due, quiet)
  if opened then opened.close(quiet) end
  return { answers, jobs, limited, due, broken }
end

if opts.want == 0 then return answer(0, 0, false) end

local shut, meta_max, meta_duration = getQueueMetadata(meta, active, wait)
promoteDelayedJobs(delayed, marker, wait, prioritized, events, prefix, tonumber(now), pc, shut)
local max = tonumber(meta_max or (opts.limiter and opts.limiter.max))
local duration = (opts.limiter and opts.limiter.duration) or meta_duration
local used = tonumber(rcall("GET", limiter) or 0)
-- BullMQ lets workers that have no limit of their own overlook one that was set by hand; ours respect it.
local limited = getRateLimitTTL(max or (used >= BY_HAND and BY_HAND or nil), limiter)
if limited > 0 then return answer(limited, 0, true) end
if shut then return answer(0, 0, true) end

-- Says what counts in a job's hash: how often it was started, whether it is to be failed unrun, and its group, which
-- its options or data may name if nobody has looked yet.
local function read(hash)
  local started, deferred, group, priority, named, said, data = 0, false, nil, "0", false, nil, nil
  for i = 1, #hash, 2 do
    local name = hash[i]
    if name == "ats" then
      started = tonumber(hash[i + 1])
    elseif name == "defa" then
      deferred = true
    elseif name == "gid" then
      group, named = hash[i + 1], true
    elseif name == "opts" then
      said = string.find(hash[i + 1], '"group"', 1, true) and hash[i + 1]
    elseif name == "data" then
      data = hash[i + 1]
    elseif name == "priority" then
      priority = hash[i + 1]
    end
  end
  if not group and said then
    local good, options = pcall(cjson.decode, said)
    if good and type(options) == "table" and type(options.group) == "table" then group = options.group.id end
  end
  if not group and opts.by and data then
    local good, value = pcall(cjson.decode, data)
    if good and type(value) == "table" then group = value[opts.by] end
  end
  if type(group) == "number" then group = string.format("%.17g", group) end
  if type(group) ~= "string" or group == "" then group = nil end
  return started, deferred, group, tonumber(priority) or 0, named
end

-- Locks a job that is in active and puts it into the reply.
local function start(id, hash, started)
  local key = prefix .. id
  local ats = started == 0 and "1" or tostring(started + 1)
  rcall("SET", key .. ":lock", opts.token, "PX", opts.lockDuration)
  rcall("XADD", events, "*", "event", "active", "jobId", id, "prev", "waiting")
  if opts.name then
    rcall("HSET", key, "processedOn", now, "pb", opts.name, "ats", ats)
  else
    rcall("HSET", key, "processedOn", now, "ats", ats)
  end
  local size = #hash
  hash[size + 1], hash[size + 2], hash[size + 3], hash[size + 4] = "processedOn", now, "ats", ats
  jobs[#jobs + 1] = id
  jobs[#jobs + 1] = hash
end

-- Takes up to `most` jobs off the lines that Node knows too. Those without a group start; the others go on into their
-- groups. Returns how many there were, how many started and count toward the rate, and how many went on.
local function take(most)
  local ids = rcall("RPOP", wait, most) or {}
  if #ids < most then
    local rest = rcall("ZPOPMIN", prioritized, most - #ids)
    for i = 1, #rest, 2 do ids[#ids + 1] = rest[i] end
    if #ids < most then rcall("DEL", pc) end
  end
  local mine, hashes, counts, charged, filed = {}, {}, {}, 0, 0
  for i = 1, #ids do
    local id = ids[i]
    if string.byte(id, 2) ~= 58 or string.byte(id, 1) ~= 48 then -- "0:" is a marker that version 4 left
      local hash = redis.pcall("HGETALL", prefix .. id)
      if hash.err or #hash == 0 then
        -- No job can be made of it. BullMQ would hand out an empty one; we leave it out and say so.
        broken[#broken + 1] = id
      else
        local started, deferred, group, priority, named = read(hash)
        if group and not deferred then
          if not named then rcall("HSET", prefix .. id, "gid", group) end
          groups().put(id, group, priority)
          filed = filed + 1
        else
          mine[#mine + 1], hashes[#mine + 1], counts[#mine + 1] = id, hash, started
          if not deferred then charged = charged + 1 end
        end
      end
    end
  end
  if #mine > 0 then rcall("LPUSH", active, unpack(mine)) end
  for i = 1, #mine do start(mine[i], hashes[i], counts[i]) end
  return #ids, charged, filed
end

-- Takes up to `most` jobs of groups, in turn; returns how many.
local function take_grouped(most)
  -- Starts a job that waited in a group; false if it was removed, or moved, by somebody who does not know groups.
  local function start_grouped(id, group)
    local hash = redis.pcall("HGETALL", prefix .. id)
    if hash.err or #hash == 0 then return false end
    local started, _, its = read(hash)
    if its ~= group then return false end
    start(id, hash, started)
    return true
  end

  local function note_mates(count)
    local first = jobs[#jobs - 2 * count + 1]
    for i = #jobs - 2 * count + 2, #jobs, 2 do
      local hash, size = jobs[i], #jobs[i]
      hash[size + 1], hash[size + 2], hash[size + 3], hash[size + 4] = "mates", tostring(count), "slot", first
    end
  end

  groups().settle()
  local count = take_turns(groups(), most, opts.batch or 1, opts.seed, start_grouped, note_mates)
  if count > 0 then
    local ids = {}
    for i = #jobs - 2 * count + 1, #jobs, 2 do ids[#ids + 1] = jobs[i] end
    rcall("LPUSH", active, unpack(ids))
  end
  return count
end

local function charge(count)
  if not max or count == 0 then return end
  used = rcall("INCRBY", limiter, count)
  if used == count then rcall("PEXPIRE", limiter, math.floor(math.abs(duration))) end
end

local want, next_due, filed_in_all, grouped = opts.want, 0, 0, 0
local bound = tonumber(rcall("HGET", meta, "concurrency"))
if bound then want = math.min(want, bound - rcall("LLEN", active)) end

local function room()
  local left = math.min(want - #jobs / 2, 1000)
  return max and math.min(left, max - used) or left
end

while room() > 0 do
  local asked = room()
  local found, charged, filed = take(asked)
  charge(charged)
  filed_in_all = filed_in_all + filed
  if found < asked then
    next_due = getNextDelayedTimestamp(delayed) or 0
    if opened or rcall("EXISTS", prefix .. "groups:ring", prefix .. "groups:later") > 0 then
      grouped = take_grouped(room())
      charge(grouped)
      local due = groups().due()
      if due and (next_due == 0 or due < next_due) then next_due = due end
    end
    break
  end
  if filed_in_all >= MOST_FILED then
    next_due = tonumber(now) -- there are more, but others want to be served too
    break
  end
end
if #jobs > 0 then
  if #jobs / 2 > grouped then addBaseMarkerIfNeeded(marker, false) end
  if #jobs / 2 < opts.want then limited = getRateLimitTTL(max, limiter) end
end
return answer(limited, next_due, false)
