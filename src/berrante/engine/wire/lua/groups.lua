--[[
  Groups: which group's job is next, decided in one place for every script that mentions open_groups.

  Nothing here looks at all groups. A group that may run is in the ring, by virtual start (start-time fair queueing:
  it is served at its start, and comes back 1/weight later; those that come at one virtual time are a tiny step apart,
  so that they go in the order in which they came, and not by name); one that only time keeps out is in `later`, by the
  millisecond when it may run; one that is empty, paused or at its concurrency is in neither.

  KEYS are computed from the queue's prefix, `groups:` + ...
    jobs:<group>   zset    job id -> priority * 2^32 + sequence: the group's waiting jobs, in order
    states         hash    group -> msgpack of those that have waiting jobs or active runs, all in one key, so that many
                           are read and written at once: {active runs, jobs in line, where it is ("r" ring, "l" later,
                           "" neither), the ms when its rate lets the next job start, rested by hand until (ms), turns
                           since its lowest priority ran, sequence of the tail, of the head}
    pace:<group>   string  msgpack {next, rest} of an empty group, which expires when they mean nothing any more
    ring, later    zset    see above
    served         zset    group -> virtual finish, of groups that left the ring and would return before their turn
    vtime          string  virtual time: the start of the group that was served last; gone when nobody is in the ring
    held           hash    job id -> group: the runs that count as active
    slots          hash    of batches alone: job id -> its slot, n:<slot> -> how many jobs of it still run
    count          string  how many jobs wait in all groups
    limits         hash    group -> msgpack {p = paused, l = limits}: what was set by hand; kept until cleared
    default        string  msgpack limits of all other groups: {c concurrency, g gap in ms, b burst, j jitter, w weight,
                           f floor}, each absent where there is none
    marker         zset    as BullMQ's, but only for workers that know groups: a Node worker never takes this bell
]]
local function open_groups(base, now, fallback)
  local CLASS, MIDDLE, STEP, NEW = 4294967296, 2147483648, 2 ^ -32, {}
  local at = base .. "groups:"
  local ring, later, served, held, slots = at .. "ring", at .. "later", at .. "served", at .. "held", at .. "slots"
  local known, order, began, slotted, rang, soonest, came = {}, {}, nil, nil, nil, nil, nil
  local limits_of = limits_reader(at, fallback)
  -- Written together in the end, each in one command.
  local left, emptied, written, unpaced = {}, {}, {}, {}
  -- What group_turns.lua needs too. `count` is by how much more jobs wait; `taken` lists job ids and their groups;
  -- `alone` says that the ring was found empty.
  local groups = { ring = ring, later = later, slots = slots, now = now, count = 0, taken = {}, alone = false }

  -- Where each group has but one job, two of these are made per job, so they are small: with what is set later (jobs,
  -- dirty, moved) they fill the 16 places that Lua gives a table of 13.
  local function make(id, packed, pace)
    local limits, paused = limits_of(id)
    local said = packed and cmsgpack.unpack(packed) or NEW
    pace = pace and cmsgpack.unpack(pace)
    local group = {
      id = id, paused = paused, limits = limits, packed = packed, has_pace = pace,
      active = said[1] or 0, waits = said[2] or 0, place = said[3] or "", next = said[4] or pace and pace[1] or 0,
      rest = said[5] or pace and pace[2] or 0, turns = said[6] or 0, tail = said[7] or 0, head = said[8] or 0,
    }
    known[id], order[#order + 1] = group, group
    return group
  end

  -- The key of a group's line.
  function groups.line(group)
    local jobs = group.jobs or at .. "jobs:" .. group.id
    group.jobs = jobs
    return jobs
  end

  -- Reads many groups at once, so that open() finds them.
  function groups.load(names)
    local ids, asked = {}, {}
    for i = 1, #names do
      local id = names[i]
      if not known[id] and not asked[id] then
        ids[#ids + 1] = id
        asked[id] = true
      end
    end
    if #ids == 0 then return end
    local states, paces, empty = rcall("HMGET", at .. "states", unpack(ids)), {}, {}
    for i = 1, #ids do
      if not states[i] then empty[#empty + 1] = at .. "pace:" .. ids[i] end
    end
    if #empty > 0 then paces = rcall("MGET", unpack(empty)) end
    local n = 0
    for i = 1, #ids do
      if not states[i] then n = n + 1 end
      make(ids[i], states[i], not states[i] and paces[n])
    end
  end

  function groups.open(id)
    if not known[id] then groups.load({ id }) end
    return known[id]
  end

  local function touch(group)
    group.dirty, group.moved = true, true
  end

  function groups.is_full(group)
    local most = group.limits.concurrency
    return most ~= nil and group.active >= most
  end

  -- The virtual time: where the group started that was served last.
  function groups.time()
    if not began then
      began = tonumber(rcall("GET", at .. "vtime") or 0)
      groups.vtime = began
    end
    return groups.vtime
  end

  local function remember(group, finish)
    if finish > groups.time() then left[#left + 1], left[#left + 2] = finish, group.id end
  end

  -- Puts a group where its state says. `finish` is given for one that was just taken out of the ring; true if it is to
  -- go back there.
  function groups.place(group, finish)
    local id, was = group.id, group.place
    group.moved = false
    local due = math.max(group.next, group.rest)
    local to = "r"
    if group.waits == 0 or group.paused or groups.is_full(group) then
      to = ""
    elseif due > now then
      to = "l"
    end
    group.place = to
    if was == "r" and to ~= "r" then
      local start = rcall("ZSCORE", ring, id)
      rcall("ZREM", ring, id)
      if start then remember(group, tonumber(start)) end
    elseif was == "l" and to ~= "l" then
      rcall("ZREM", later, id)
    elseif finish and to ~= "r" then
      remember(group, finish)
    end
    if to == "l" then
      rcall("ZADD", later, due, id)
      if not soonest or due < soonest then soonest = due end
    elseif to == "r" and was ~= "r" and not finish then
      came = (came or rcall("ZCARD", ring)) + 1 -- behind those that came before, and before all second turns
      local start = groups.time() + came * STEP
      rcall("ZADD", ring, math.max(start, tonumber(rcall("ZSCORE", served, id) or 0)), id)
      rang = true
    end
    return to == "r"
  end

  -- Lets a job wait in its group, at the tail or the head of its priority. One that still counts as active was given
  -- up by somebody else, as after a stall: it is no longer, and goes first. `free` says that it is known not to count.
  function groups.put(id, name, priority, first, free)
    local group = groups.open(name)
    if not free and groups.release(id, name) then first = true end
    local sequence
    if first then
      group.head = group.head + 1
      sequence = MIDDLE - group.head
    else
      group.tail = group.tail + 1
      sequence = MIDDLE + group.tail
    end
    if rcall("ZADD", groups.line(group), priority * CLASS + sequence, id) == 1 then
      groups.count = groups.count + 1
      group.waits = group.waits + 1
    end
    touch(group)
  end

  -- Lets a job wait again whose run is over.
  function groups.take_back(id, name, priority, first)
    groups.release(id, name)
    groups.put(id, name, priority, first)
  end

  local function end_run(name)
    local group = groups.open(name)
    group.active = math.max(0, group.active - 1)
    touch(group)
  end

  -- Says that jobs which counted as active do no more. Those of one batch are one run, which is over with its last.
  local function free(ids, names)
    if slotted == nil then slotted = rcall("EXISTS", slots) == 1 end
    local slot_of, listed, ends, name_of = slotted and rcall("HMGET", slots, unpack(ids)) or {}, {}, {}, {}
    for i = 1, #ids do
      local slot = slot_of[i]
      if slot then
        listed[#listed + 1] = ids[i]
        ends[slot], name_of[slot] = (ends[slot] or 0) + 1, names[i]
      else
        end_run(names[i])
      end
    end
    if #listed == 0 then return end
    rcall("HDEL", slots, unpack(listed))
    for slot, count in pairs(ends) do
      if rcall("HINCRBY", slots, "n:" .. slot, -count) <= 0 then
        rcall("HDEL", slots, "n:" .. slot)
        end_run(name_of[slot])
      end
    end
  end

  -- Returns, for each job, the group that it counts as active in, or false.
  function groups.held_by(ids)
    return rcall("HMGET", held, unpack(ids))
  end

  -- Says that a run is over; false if it counts no more, or never did.
  function groups.release(id, name)
    if rcall("HDEL", held, id) == 0 then return false end
    free({ id }, { name })
    return true
  end

  -- Does the same for many: job id, group, ...
  function groups.release_all(ended)
    local ids, names = {}, {}
    for i = 1, #ended, 2 do ids[#ids + 1], names[#names + 1] = ended[i], ended[i + 1] end
    groups.load(names)
    local still, counted, theirs = rcall("HMGET", held, unpack(ids)), {}, {}
    for i = 1, #ids do
      if still[i] then counted[#counted + 1], theirs[#theirs + 1] = ids[i], names[i] end
    end
    if #counted == 0 then return end
    free(counted, theirs)
    rcall("HDEL", held, unpack(counted))
  end

  -- Takes a job out of its group's line; false if it did not wait there.
  function groups.lift(id, name)
    local group = groups.open(name)
    if rcall("ZREM", groups.line(group), id) == 0 then return false end
    groups.count = groups.count - 1
    group.waits = group.waits - 1
    touch(group)
    return true
  end

  -- Lets a group rest for some ms, whatever its rate says.
  function groups.rest(name, ms)
    local group = groups.open(name)
    group.rest = math.max(group.rest, now + ms)
    touch(group)
  end

  -- Lets a group's rest end after some ms, or before if it does.
  function groups.wake(name, ms)
    local group = groups.open(name)
    group.rest = math.min(group.rest, now + ms)
    touch(group)
  end

  -- Looks at a group again whose limits or pause were changed.
  function groups.reconsider(name)
    touch(groups.open(name))
  end

  -- Places all groups that were touched: before anything is taken, and before the end.
  function groups.settle()
    for _, group in ipairs(order) do
      if group.moved then groups.place(group) end
    end
  end

  -- The ms when the next group may run that only time keeps out.
  function groups.due()
    local first = rcall("ZRANGE", later, 0, 0, "WITHSCORES")[2]
    return first and math.ceil(tonumber(first))
  end

  local function keep(group)
    local id = group.id
    if group.active > 0 or group.waits > 0 then
      if group.has_pace then unpaced[#unpaced + 1] = at .. "pace:" .. id end
      local state = cmsgpack.pack({
        group.active, group.waits, group.place, group.next, group.rest, group.turns, group.tail, group.head,
      })
      if state ~= group.packed then written[#written + 1], written[#written + 2] = id, state end
      return
    end
    if group.packed then emptied[#emptied + 1] = id end
    local limits = group.limits
    local left_ms = math.max(group.next + (limits.burst - 1) * limits.gap, group.rest) - now
    if left_ms > 0 then
      -- A second more: workers' clocks differ a little.
      rcall("SET", at .. "pace:" .. id, cmsgpack.pack({ group.next, group.rest }), "PX", math.ceil(left_ms) + 1000)
    elseif group.has_pace then
      unpaced[#unpaced + 1] = at .. "pace:" .. id
    end
  end

  -- Writes what changed. `quiet` rings no bell: the queue is paused, or at its bound.
  function groups.close(quiet)
    groups.settle()
    if #groups.taken > 0 then rcall("HSET", held, unpack(groups.taken)) end
    for _, group in ipairs(order) do
      if group.dirty then keep(group) end
    end
    if #written > 0 then rcall("HSET", at .. "states", unpack(written)) end
    if #emptied > 0 then rcall("HDEL", at .. "states", unpack(emptied)) end
    if #unpaced > 0 then rcall("DEL", unpack(unpaced)) end
    if groups.count ~= 0 and rcall("INCRBY", at .. "count", groups.count) <= 0 then rcall("DEL", at .. "count") end
    if groups.alone and rcall("EXISTS", ring) == 0 then
      rcall("DEL", at .. "vtime", served)
    else
      if #left > 0 then rcall("ZADD", served, unpack(left)) end
      if groups.vtime ~= began then
        rcall("SET", at .. "vtime", groups.vtime)
        rcall("ZREMRANGEBYSCORE", served, "-inf", groups.vtime)
      end
    end
    if soonest then rcall("ZADD", at .. "marker", "LT", soonest, "1") end
    if (rang or #groups.taken > 0) and not quiet and rcall("EXISTS", ring) == 1 then rcall("ZADD", at .. "marker", 0, "0") end
  end

  return groups
end
