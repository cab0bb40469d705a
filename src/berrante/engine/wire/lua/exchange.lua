--[[
  One turn of a worker: settles runs that ended, then takes jobs up to the free slots.

  The functions above this point are BullMQ's own, cut from moveToFinished (see scripts.extended): whatever a state
  needs is done by them, or by the same commands in the same order. What is ours is doing many jobs at once: what
  BullMQ does per job and comes to the same when done once (locks, markers, counters, retention) is done once.

  KEYS   1 wait  2 active  3 prioritized  4 events  5 stalled  6 limiter  7 delayed  8 paused  9 meta  10 pc
         11 completed  12 failed  13 marker  14 metrics:completed  15 metrics:failed
  ARGV   1 prefix  2 now in ms
         3 msgpack: token, lockDuration, name or absent, want, limiter {max, duration} or absent, metrics (points kept, or ""),
           letters (prefix of the dead-letter queue) or absent, settlements (how many)
         then per settlement: kind, job id, lock token, the job's atm with this run counted, and
           "C" completed   value, keep count or "", keep age in s or ""
           "F" failed      reason, stack trace (JSON), keep count, keep age, attempts, letter's id or "", name, data
           "D" delayed     delay in ms, "1" if it uses an attempt, reason, stack trace ("" and "" if it did not fail)
           "R" tried again now   push command, reason, stack trace
           "H" handed back to the head, uncharged   ms for which the whole queue is to rest, or 0
  Reply  { answers: 0, an error code of BullMQ, or -100: use BullMQ's own script (it has children or a parent),
           jobs taken: id, hash, id, hash, ...,  ms until the rate limit ends or 0,  next due time in ms or 0,
           ids whose hash could not be read }
]]
local wait, active, prioritized, events, stalled = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local limiter, delayed, meta, pc, marker = KEYS[6], KEYS[7], KEYS[9], KEYS[10], KEYS[13]
local prefix, now = ARGV[1], ARGV[2]
local opts = cmsgpack.unpack(ARGV[3])
local FIELDS = { C = 3, F = 8, D = 4, R = 3, H = 1 }
local BY_HAND = 9007199254740991

-- Jobs that finished in one way with one retention: their sorted set, and what falls out of it, are touched once.
local finished = {}

local function flush()
  local set = finished.set
  if not set then return end
  rcall("ZADD", set, unpack(finished.ids))
  if finished.age ~= "" then removeJobsByMaxAge(tonumber(now), tonumber(finished.age), set, prefix, 1000) end
  if finished.count ~= "" then removeJobsByMaxCount(tonumber(finished.count), set, prefix) end
  finished.set = nil
end

local function keep(set, id, count, age)
  if finished.set ~= set or finished.count ~= count or finished.age ~= age then
    flush()
    finished = { set = set, count = count, age = age, ids = {} }
  end
  local ids = finished.ids
  ids[#ids + 1] = now
  ids[#ids + 1] = id
end

local function count_metrics(key)
  if opts.metrics ~= "" then collectMetrics(key, key .. ":data", opts.metrics, now) end
end

local function bury(id, name, data)
  local base = opts.letters
  rcall("INCR", base .. "id")
  local most = getOrSetMaxEvents(base .. "meta")
  if rcall("EXISTS", base .. id) == 1 then
    rcall("XADD", base .. "events", "MAXLEN", "~", most, "*", "event", "duplicated", "jobId", id)
  else
    storeAndEnqueueJob(base .. "events", base .. id, id, name, data, { attempts = 1, jobId = id }, now, nil, nil, nil,
      most, base .. "wait", base .. "paused", base .. "active", base .. "meta", base .. "prioritized", base .. "pc",
      nil, base .. "marker")
  end
end

local function note_failure(key, reason, stack)
  if stack ~= "" then rcall("HSET", key, "failedReason", reason, "stacktrace", stack) end
end

local settle = {}

function settle.C(id, key, atm, at)
  local value, count = ARGV[at], ARGV[at + 1]
  if count == "0" then
    removeJobKeys(key)
  else
    rcall("HSET", key, "atm", atm, "returnvalue", value, "finishedOn", now)
    keep(KEYS[11], id, count, ARGV[at + 2])
  end
  rcall("XADD", events, "*", "event", "completed", "jobId", id, "returnvalue", value, "prev", "active")
  count_metrics(KEYS[14])
end

function settle.F(id, key, atm, at)
  local reason, count = ARGV[at], ARGV[at + 2]
  if count == "0" then
    removeJobKeys(key)
  else
    rcall("HSET", key, "stacktrace", ARGV[at + 1], "atm", atm, "failedReason", reason, "finishedOn", now)
    rcall("HDEL", key, "defa")
    keep(KEYS[12], id, count, ARGV[at + 3])
  end
  rcall("XADD", events, "*", "event", "failed", "jobId", id, "failedReason", reason, "prev", "active")
  if tonumber(atm) >= tonumber(ARGV[at + 4]) then
    rcall("XADD", events, "*", "event", "retries-exhausted", "jobId", id, "attemptsMade", atm)
  end
  count_metrics(KEYS[15])
  if ARGV[at + 5] ~= "" then bury(ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]) end
end

function settle.D(id, key, atm, at)
  note_failure(key, ARGV[at + 2], ARGV[at + 3])
  local score, due = getDelayedScore(delayed, now, tonumber(ARGV[at]))
  if ARGV[at + 1] == "1" then rcall("HSET", key, "atm", atm) end
  rcall("HSET", key, "delay", ARGV[at])
  rcall("ZADD", delayed, score, id)
  rcall("XADD", events, "MAXLEN", "~", getOrSetMaxEvents(meta), "*", "event", "delayed", "jobId", id, "delay", due)
  addDelayMarkerIfNeeded(marker, delayed)
end

function settle.R(id, key, atm, at)
  note_failure(key, ARGV[at + 1], ARGV[at + 2])
  local priority = tonumber(rcall("HGET", key, "priority")) or 0
  local shut = isQueuePausedOrMaxed(meta, active)
  if priority == 0 then
    addJobInTargetList(wait, marker, ARGV[at], shut, id)
  else
    addJobWithPriority(marker, prioritized, priority, id, pc, shut)
  end
  rcall("HSET", key, "atm", atm)
  rcall("XADD", events, "MAXLEN", "~", getOrSetMaxEvents(meta), "*", "event", "waiting", "jobId", id, "prev", "active")
end

function settle.H(id, key, _, at)
  local rest = tonumber(ARGV[at])
  if rest > 0 then rcall("SET", limiter, BY_HAND, "PX", rest) end
  local priority = tonumber(rcall("HGET", key, "priority")) or 0
  if priority > 0 then
    rcall("ZADD", prioritized, priority * 0x100000000, id) -- the head of its own priority
  else
    addJobInTargetList(wait, marker, "RPUSH", isQueuePausedOrMaxed(meta, active), id)
  end
  rcall("XADD", events, "MAXLEN", "~", getOrSetMaxEvents(meta), "*", "event", "waiting", "jobId", id, "prev", "active")
end

-- Tells which runs may be settled: the job is there, has no children left, and its lock is the run's own.
local function judge(starts, keys, owners)
  local answers, mine, ids = {}, {}, {}
  local n = #starts
  local children = {}
  for i = 1, n do
    children[2 * i - 1], children[2 * i] = keys[i] .. ":dependencies", keys[i] .. ":unsuccessful"
  end
  local all_plain = rcall("EXISTS", unpack(keys)) == n and rcall("EXISTS", unpack(children)) == 0
  for i = 1, n do
    local at = starts[i]
    if not all_plain and rcall("EXISTS", keys[i]) == 0 then
      answers[i] = -1
    elseif not all_plain and ARGV[at] == "C" and rcall("EXISTS", children[2 * i - 1], children[2 * i]) > 0 then
      answers[i] = -100
    elseif not string.find(ARGV[at + 1], "^%d+$") and rcall("HEXISTS", keys[i], "parentKey") == 1 then
      answers[i] = -100 -- a flow made it a child while it ran; only a job of a given id can be found by one
    elseif not owners[i] then
      answers[i] = -2
    elseif owners[i] ~= ARGV[at + 2] then
      answers[i] = -6
    else
      answers[i] = 0
      mine[#mine + 1], ids[#ids + 1] = keys[i] .. ":lock", ARGV[at + 1]
    end
  end
  return answers, mine, ids
end

-- Jobs end much as they began, so those that end together are mostly the oldest of `active`: one cut instead of a
-- search for each. Tells whether it was so.
local function cut_off_tail(ids)
  local tail = rcall("LRANGE", active, -#ids, -1)
  if #tail < #ids then return false end
  local there = {}
  for i = 1, #tail do there[tail[i]] = true end
  for i = 1, #ids do
    if not there[ids[i]] then return false end
    there[ids[i]] = nil -- an id that is listed twice must be found twice
  end
  rcall("LTRIM", active, 0, -#ids - 1)
  return true
end

local n = opts.settlements
local answers = {}
if n > 0 then
  local starts, keys, locks, cursor, only_finished = {}, {}, {}, 4, true
  for i = 1, n do
    local kind = ARGV[cursor]
    starts[i] = cursor
    keys[i] = prefix .. ARGV[cursor + 1]
    locks[i] = keys[i] .. ":lock"
    only_finished = only_finished and (kind == "C" or kind == "F")
    cursor = cursor + 4 + FIELDS[kind]
  end
  local mine, ids
  answers, mine, ids = judge(starts, keys, rcall("MGET", unpack(locks)))
  local last, cut = nil, false
  if #mine > 0 then
    rcall("DEL", unpack(mine))
    rcall("SREM", stalled, unpack(ids))
    trimEvents(meta, events)
    -- Of other endings, each looks at how many are still active.
    cut = only_finished and #ids > 1 and cut_off_tail(ids)
  end
  for i = 1, n do
    if answers[i] == 0 then
      local at = starts[i]
      local kind, id = ARGV[at], ARGV[at + 1]
      if kind == "R" then
        promoteDelayedJobs(delayed, marker, wait, prioritized, events, prefix, tonumber(now), pc,
          isQueuePausedOrMaxed(meta, active))
      end
      if not cut and rcall("LREM", active, kind == "H" and 1 or -1, id) == 0 then
        answers[i] = -3
      else
        settle[kind](id, keys[i], ARGV[at + 3], at + 4)
        last = kind
      end
    end
  end
  flush()
  if (last == "C" or last == "F") and rcall("LLEN", wait) == 0 and rcall("LLEN", active) == 0
      and rcall("ZCARD", prioritized) == 0 then
    rcall("XADD", events, "*", "event", "drained")
  end
end

local jobs, broken = {}, {}
if opts.want == 0 then return { answers, jobs, 0, 0, broken } end

local shut, meta_max, meta_duration = getQueueMetadata(meta, active, wait)
promoteDelayedJobs(delayed, marker, wait, prioritized, events, prefix, tonumber(now), pc, shut)
local max = tonumber(meta_max or (opts.limiter and opts.limiter.max))
local duration = (opts.limiter and opts.limiter.duration) or meta_duration
local used = tonumber(rcall("GET", limiter) or 0)
-- BullMQ lets workers that have no limit of their own overlook one that was set by hand; ours respect it.
local limited = getRateLimitTTL(max or (used >= BY_HAND and BY_HAND or nil), limiter)
if limited > 0 then return { answers, jobs, limited, 0, broken } end
if shut then return { answers, jobs, 0, 0, broken } end

-- Locks a job and puts it into the reply; tells whether it counts toward the rate.
local function start(id)
  local key = prefix .. id
  local hash = redis.pcall("HGETALL", key)
  if hash.err or #hash == 0 then
    -- No job can be made of it. BullMQ would hand out an empty one; we take it out of the way and say so.
    rcall("LREM", active, 1, id)
    broken[#broken + 1] = id
    return false
  end
  local started, deferred = 0, false
  for i = 1, #hash, 2 do
    local name = hash[i]
    if name == "ats" then
      started = tonumber(hash[i + 1])
    elseif name == "defa" then
      deferred = true
    end
  end
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
  return not deferred
end

-- Moves up to `most` jobs to active; returns how many there were, and how many of them count toward the rate.
local function take(most)
  local ids = rcall("RPOP", wait, most) or {}
  if #ids > 0 then rcall("LPUSH", active, unpack(ids)) end
  if #ids < most then
    local rest = rcall("ZPOPMIN", prioritized, most - #ids)
    for i = 1, #rest, 2 do
      ids[#ids + 1] = rest[i]
      rcall("LPUSH", active, rest[i])
    end
    if #ids < most then rcall("DEL", pc) end
  end
  local charged = 0
  for i = 1, #ids do
    local id = ids[i]
    if string.byte(id, 2) == 58 and string.byte(id, 1) == 48 then -- "0:"
      rcall("LREM", active, 1, id) -- a marker that version 4 left
    elseif start(id) then
      charged = charged + 1
    end
  end
  return #ids, charged
end

local want, next_due = opts.want, 0
local bound = tonumber(rcall("HGET", meta, "concurrency"))
if bound then want = math.min(want, bound - rcall("LLEN", active)) end
while #jobs / 2 < want do
  local room = math.min(want - #jobs / 2, 1000)
  if max then room = math.min(room, max - used) end
  if room <= 0 then break end
  local found, charged = take(room)
  if max and charged > 0 then
    used = rcall("INCRBY", limiter, charged)
    if used == charged then rcall("PEXPIRE", limiter, math.floor(math.abs(duration))) end
  end
  if found < room then
    next_due = getNextDelayedTimestamp(delayed) or 0
    break
  end
end
if #jobs > 0 then
  addBaseMarkerIfNeeded(marker, false)
  if #jobs / 2 < opts.want then limited = getRateLimitTTL(max, limiter) end
end
return { answers, jobs, limited, next_due, broken }
