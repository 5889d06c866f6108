-- take-call: take one call from a bucket (generic cell rate algorithm).
-- Atomic because: nodes that ask at once must not take the same call.
-- KEYS[1] bucket, string: microseconds of TIME at which it is full again
-- ARGV[1] microseconds that one call costs     ARGV[2] calls that may come at once
-- returns 0 if the call may go on, else the ms until one may
local cost, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- Never fuller than full, and never emptier than empty, whatever a clock that jumped has left here.
local fullAt = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now), now + burst * cost) + cost
local wait = fullAt - burst * cost - now
if wait > 0 then return math.ceil(wait / 1000) end
redis.call('SET', KEYS[1], string.format('%.0f', fullAt), 'PX', math.ceil((fullAt - now) / 1000))
return 0
