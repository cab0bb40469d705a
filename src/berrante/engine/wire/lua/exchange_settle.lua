--[[
  One turn of a worker: settles runs that ended, then takes jobs up to the free slots.

  The functions above this point are BullMQ's own, cut from moveToFinished (see scripts.extended): whatever a state
  needs is done by them, or by the same commands in the same order. What is ours is doing many jobs at once: what
  BullMQ does per job and comes to the same when done once (locks, markers, counters, retention) is done once.

  KEYS   1 wait  2 active  3 prioritized  4 events  5 stalled  6 limiter  7 delayed  8 paused  9 meta  10 pc
         11 completed  12 failed  13 marker  14 metrics:completed  15 metrics:failed
  ARGV   1 prefix  2 now in ms
         3 msgpack: token, lockDuration, name or absent, want, limiter {max, duration} or absent, metrics (points kept, or ""),
           letters (prefix of the dead-letter queue) or absent, settlements (how many), seed (for chance),
           batch (jobs of one group that make one run, or absent), by (the key of job data that names a group, or absent),
           default (limits of groups, or absent; declare says to let them hold from now on)
         then per settlement: kind, job id, lock token, the job's atm with this run counted, and
           "C" completed   value, keep count or "", keep age in s or ""
           "F" failed      reason, stack trace (JSON), keep count, keep age, attempts, letter's id or "", name, data
           "D" delayed     delay in ms, "1" if it uses an attempt, reason, stack trace ("" and "" if it did not fail)
           "R" tried again now   push command, reason, stack trace
           "H" handed back to the head, uncharged   ms for which the whole queue is to rest, or 0
         and in small letters for a job of a group, which comes last: c, f, d, r (to its group), h (its group rests)
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
local MOST_FILED = 1000

if opts.declare then rcall("SET", prefix .. "groups:default", cmsgpack.pack(opts.default)) end

local opened
local ended = {} -- job ids and their groups, of runs that are over and do not go back into their group at once
local function groups()
  opened = opened or open_groups(prefix, tonumber(now), opts.default)
  return opened
end

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

function settle.R(id, key, atm, at, group)
  note_failure(key, ARGV[at + 1], ARGV[at + 2])
  local priority = tonumber(rcall("HGET", key, "priority")) or 0
  if group then
    groups().take_back(id, group, priority, ARGV[at] == "RPUSH")
  elseif priority == 0 then
    addJobInTargetList(wait, marker, ARGV[at], isQueuePausedOrMaxed(meta, active), id)
  else
    addJobWithPriority(marker, prioritized, priority, id, pc, isQueuePausedOrMaxed(meta, active))
  end
  rcall("HSET", key, "atm", atm)
  rcall("XADD", events, "MAXLEN", "~", getOrSetMaxEvents(meta), "*", "event", "waiting", "jobId", id, "prev", "active")
end

function settle.H(id, key, _, at, group)
  local rest, priority = tonumber(ARGV[at]), tonumber(rcall("HGET", key, "priority")) or 0
  if group then
    if rest > 0 then groups().rest(group, rest) end
    groups().take_back(id, group, priority, true)
  else
    if rest > 0 then rcall("SET", limiter, BY_HAND, "PX", rest) end
    if priority > 0 then
      rcall("ZADD", prioritized, priority * 0x100000000, id) -- the head of its own priority
    else
      addJobInTargetList(wait, marker, "RPUSH", isQueuePausedOrMaxed(meta, active), id)
    end
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
    elseif not all_plain and string.upper(ARGV[at]) == "C"
        and rcall("EXISTS", children[2 * i - 1], children[2 * i]) > 0 then
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
  local starts, keys, locks, kinds, groups_of, cursor, only_finished = {}, {}, {}, {}, {}, 4, true
  for i = 1, n do
    local kind = string.upper(ARGV[cursor])
    starts[i], kinds[i] = cursor, kind
    keys[i] = prefix .. ARGV[cursor + 1]
    locks[i] = keys[i] .. ":lock"
    only_finished = only_finished and (kind == "C" or kind == "F")
    local grouped = kind ~= ARGV[cursor]
    cursor = cursor + 4 + FIELDS[kind]
    if grouped then
      groups_of[i] = ARGV[cursor]
      cursor = cursor + 1
    end
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
      local kind, id, group = kinds[i], ARGV[at + 1], groups_of[i]
      if kind == "R" and not group then
        promoteDelayedJobs(delayed, marker, wait, prioritized, events, prefix, tonumber(now), pc,
          isQueuePausedOrMaxed(meta, active))
      end
      if not cut and rcall("LREM", active, kind == "H" and 1 or -1, id) == 0 then
        answers[i] = -3
      else
        settle[kind](id, keys[i], ARGV[at + 3], at + 4, group)
        if group and kind ~= "R" and kind ~= "H" then ended[#ended + 1], ended[#ended + 2] = id, group end
        last = kind
      end
    end
  end
  flush()
  if (last == "C" or last == "F") and rcall("LLEN", wait) == 0 and rcall("LLEN", active) == 0
      and rcall("ZCARD", prioritized) == 0 and rcall("EXISTS", prefix .. "groups:count") == 0 then
    rcall("XADD", events, "*", "event", "drained")
  end
  if #ended > 0 then groups().release_all(ended) end
  if opened then opened.settle() end
end
