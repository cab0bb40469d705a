-- Admits requests at an even rate with a burst (GCRA), by Redis's own clock.
-- KEYS[1]  string: the theoretical arrival time of the next request, in microseconds since the epoch
-- ARGV[1]  microseconds between two requests at the even rate
-- ARGV[2]  requests that may come at once
-- returns  {1 if admitted else 0, requests that may still come at once, µs until the next is admitted, µs until all are}
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local every, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local wait = arrival + every - every * burst - now
if wait > 0 then
  return {0, 0, math.ceil(wait), math.ceil(arrival - now)}
end
arrival = arrival + every
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1)
return {1, math.floor((every * burst - (arrival - now)) / every), 0, math.ceil(arrival - now)}
