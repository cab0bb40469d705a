--[[
  Whose turn it is, over the groups of groups.lua, which stands above.
]]
local function take_turns(groups, most, batch, seed, start, mates)
  local CLASS = 4294967296
  local ring, now = groups.ring, groups.now

  -- A number in 0..1, another at each call: Redis begins math.random anew in every script.
  local function chance()
    seed = (seed * 16807) % 2147483647
    return seed / 2147483647
  end

  -- Takes the job that is next in a group's line: the first, or, once in a while, the first of the lowest priority.
  local function pick(group)
    local jobs, floor, id, class = groups.line(group), group.limits.floor, nil, nil
    if floor > 0 and (group.turns + 1) * floor >= 1 then
      local last = rcall("ZRANGE", jobs, -1, -1, "WITHSCORES")
      class = last[1] and math.floor(last[2] / CLASS)
      if class then
        local beyond = "(" .. string.format("%.0f", (class + 1) * CLASS)
        id = rcall("ZRANGEBYSCORE", jobs, class * CLASS, beyond, "LIMIT", 0, 1)[1]
        rcall("ZREM", jobs, id)
      end
    else
      local first = rcall("ZPOPMIN", jobs)
      id, class = first[1], first[1] and math.floor(first[2] / CLASS)
    end
    if not id then
      group.waits = 0 -- somebody deleted the line
      return nil
    end
    group.waits = group.waits - 1
    groups.count = groups.count - 1
    local lower = false
    if group.waits > 0 and floor > 0 then
      local last = rcall("ZRANGE", jobs, -1, -1, "WITHSCORES")
      lower = last[1] and math.floor(last[2] / CLASS) > class
    end
    group.turns = lower and group.turns + 1 or 0
    return id
  end

  -- Takes many at once where that comes to the same: none of a lower priority waits that could claim its share.
  local function pick_many(group, most)
    most = math.min(most, group.waits)
    local jobs, limits = groups.line(group), group.limits
    if limits.gap > 0 then
      -- With jitter each gap is another, and each job has to be looked at by itself.
      if limits.jitter > 0 then return { pick(group) } end
      local from = math.max(group.next, now - (limits.burst - 1) * limits.gap)
      most = math.min(most, math.floor((now - from) / limits.gap) + 1)
    end
    local first = most > 1 and rcall("ZRANGE", jobs, 0, 0, "WITHSCORES")[2]
    local last = first and rcall("ZRANGE", jobs, -1, -1, "WITHSCORES")[2]
    if not first or math.floor(first / CLASS) ~= math.floor(last / CLASS) then return { pick(group) } end
    local found, ids = rcall("ZPOPMIN", jobs, most), {}
    for i = 1, #found, 2 do ids[#ids + 1] = found[i] end
    group.waits = #ids < most and 0 or group.waits - #ids -- somebody may have deleted some of the line
    groups.count = groups.count - #ids
    group.turns = 0
    return ids
  end

  local function charge(group)
    local limits = group.limits
    if limits.gap > 0 then
      local early = now - (limits.burst - 1) * limits.gap
      group.next = math.max(group.next, early) + limits.gap * (1 + limits.jitter * (2 * chance() - 1))
    end
  end

  -- Starts up to `most` jobs of a group, which count as one run; returns how many.
  local function serve(group, most)
    local started, slotted = 0, {}
    while started < most and group.waits > 0 and math.max(group.next, group.rest) <= now do
      local ids = most > 1 and pick_many(group, most - started) or { pick(group) }
      for i = 1, #ids do
        local id = ids[i]
        if start(id, group.id) then
          started = started + 1
          groups.taken[#groups.taken + 1], groups.taken[#groups.taken + 2] = id, group.id
          charge(group)
          if most > 1 then slotted[#slotted + 1], slotted[#slotted + 2] = id, slotted[1] or id end
        end
      end
    end
    if #slotted > 0 then rcall("HSET", groups.slots, "n:" .. slotted[1], started, unpack(slotted)) end
    if started > 0 then group.active = group.active + 1 end
    return started
  end

  local due = rcall("ZRANGEBYSCORE", groups.later, "-inf", now, "LIMIT", 0, 1000)
  groups.load(due)
  for _, id in ipairs(due) do
    local group = groups.open(id)
    group.place, group.dirty = "l", true
    groups.place(group)
  end
  -- Groups leave the ring many at once, and return many at once. Nobody waits behind one whose second turn comes after
  -- his first: the line is drawn anew before that.
  local count, line, first, back, first_back = 0, {}, 1, {}, nil
  local function give_back()
    for i = first, #line, 2 do
      back[#back + 1], back[#back + 2] = line[i + 1], line[i]
    end
    if #back > 0 then rcall("ZADD", ring, unpack(back)) end
    line, first, back, first_back = {}, 1, {}, nil
  end

  while count < most do
    local start_at = tonumber(line[first + 1])
    if not start_at or (first_back and first_back < start_at) then
      give_back()
      line = rcall("ZPOPMIN", ring, most - count)
      local names = {}
      for i = 1, #line, 2 do names[#names + 1] = line[i] end
      groups.load(names)
      start_at = tonumber(line[2])
      if not start_at then
        groups.alone = true
        break
      end
    end
    local group = groups.open(line[first])
    first = first + 2
    group.place, group.dirty = "", true
    if start_at > groups.time() then groups.vtime = start_at end
    local finish = start_at
    if not group.paused and not groups.is_full(group) then
      local started = serve(group, math.min(batch, most - count))
      count = count + started
      if started > 0 then finish = start_at + started / group.limits.weight end
      if started > 1 then mates(started) end
    end
    if groups.place(group, finish) then
      back[#back + 1], back[#back + 2] = finish, group.id
      if not first_back or finish < first_back then first_back = finish end
    end
  end
  give_back()
  return count
end
