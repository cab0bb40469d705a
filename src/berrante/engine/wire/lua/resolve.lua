--[[
  Ends dead letters whose jobs were put back: they leave `wait` and are kept as completed, naming the job.

  Made in one transaction with the adding of those jobs. A letter whose job is not there stays where it is, so that
  nothing is lost if the adding went wrong.

  The functions above this point are BullMQ's own, cut from moveToFinished (see scripts.extended).

  KEYS   1 wait  2 paused  3 completed  4 events  5 meta
  ARGV   1 prefix  2 now in ms  3 how many resolved letters are kept  4 for how many seconds
         then per letter: id, key of the job that was added, value to return (JSON)
  Reply  per letter 1, or 0 if it was not there or its job is not
]]
local wait, paused, completed, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local prefix, now = ARGV[1], ARGV[2]
local most = getOrSetMaxEvents(KEYS[5])
local answers = {}
for at = 5, #ARGV, 3 do
  local id, key, value = ARGV[at], prefix .. ARGV[at], ARGV[at + 2]
  local done = 0
  if rcall("EXISTS", ARGV[at + 1]) == 1 and rcall("LREM", wait, -1, id) + rcall("LREM", paused, -1, id) > 0 then
    rcall("HSET", key, "returnvalue", value, "finishedOn", now)
    rcall("ZADD", completed, now, id)
    rcall("XADD", events, "MAXLEN", "~", most, "*", "event", "completed", "jobId", id, "returnvalue", value,
      "prev", "waiting")
    done = 1
  end
  answers[#answers + 1] = done
end
removeJobsByMaxAge(tonumber(now), tonumber(ARGV[4]), completed, prefix, 1000)
removeJobsByMaxCount(tonumber(ARGV[3]), completed, prefix)
return answers
