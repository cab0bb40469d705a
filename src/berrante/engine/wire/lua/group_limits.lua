--[[
  What holds for a group: what was set for it by hand, or else for all. The keys are described in groups.lua, which
  stands below.
]]
local function limits_reader(at, fallback)
  local default, limited

  -- Limits with all their parts: made once for all groups that share them.
  local function complete(said)
    return {
      concurrency = said.c, gap = said.g or 0, burst = said.b or 1, jitter = said.j or 0, weight = said.w or 1,
      floor = said.f or 0.1,
    }
  end

  -- Returns a group's limits, and whether it is paused.
  return function(id)
    if not default then
      local said = rcall("GET", at .. "default")
      if not said and fallback then rcall("SET", at .. "default", cmsgpack.pack(fallback)) end
      default = complete(said and cmsgpack.unpack(said) or fallback or {})
      limited = rcall("EXISTS", at .. "limits") == 1
    end
    local set = limited and rcall("HGET", at .. "limits", id)
    if not set then return default, false end
    set = cmsgpack.unpack(set)
    return set.l and complete(set.l) or default, set.p
  end
end
