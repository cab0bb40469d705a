-- Takes some of what an organization may have in a day.
-- KEYS[1]  string: how many are taken
-- ARGV[1]  how many to take
-- ARGV[2]  how many there are
-- ARGV[3]  seconds until nobody needs the key any more
-- ARGV[4]  how many are taken according to the database, or '' to be asked for it
-- ARGV[5]  how many to take at least: fewer than ARGV[1] if any will do
-- returns  {1 if taken, 0 if there are too few left, -1 if ARGV[4] is needed; how many are taken; of which now}
local used = redis.call('GET', KEYS[1])
if not used then
  if ARGV[4] == '' then
    return {-1, 0, 0}
  end
  used = ARGV[4]
end
used = tonumber(used)
local taken = math.min(tonumber(ARGV[1]), tonumber(ARGV[2]) - used)
if taken < tonumber(ARGV[5]) then
  redis.call('SET', KEYS[1], used, 'EX', ARGV[3])
  return {0, used, 0}
end
redis.call('SET', KEYS[1], used + taken, 'EX', ARGV[3])
return {1, used + taken, taken}
