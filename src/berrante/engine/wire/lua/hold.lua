--[[
  Begins the adding of a parent's children, some of which may have been there before: keeps the parent waiting until
  `release`, even if all that it has until then are done. A child whose former parent is gone is free to be taken, which
  BullMQ's add scripts of this version overlook (Node's do it since 6.7).

  KEYS   1 parent's dependencies (set)
  ARGV   1 the member that holds it  then the key of each child whose id was given
  Reply  1
]]
for i = 2, #ARGV do
  local former = redis.call("HGET", ARGV[i], "parentKey")
  if former and redis.call("EXISTS", former) == 0 then redis.call("HDEL", ARGV[i], "parentKey", "parent") end
end
return redis.call("SADD", KEYS[1], ARGV[1])
