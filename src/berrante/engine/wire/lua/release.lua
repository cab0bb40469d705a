--[[
  Ends the adding of a parent's children, some of which may have been there before, and done: lets go of the parent if
  there is nothing to wait for. A parent that lacks a child, since that is another parent's, is not let go.

  The functions above this point are BullMQ's own, cut from moveToFinished (see scripts.extended).

  KEYS   1 parent's hash  2 its dependencies (set)  3 its processed children (hash)
  ARGV   1 parent's qualified queue name  2 parent's id  3 now in ms  4 the member that held it  5 how many children
  Reply  nil
]]
rcall("SREM", KEYS[2], ARGV[4])
if rcall("SCARD", KEYS[2]) + rcall("HLEN", KEYS[3]) >= tonumber(ARGV[5]) then
  moveParentToWaitIfNoPendingDependencies(ARGV[1], KEYS[2], KEYS[1], ARGV[2], ARGV[3])
end
