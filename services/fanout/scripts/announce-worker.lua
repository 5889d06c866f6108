-- announce-worker: renew the lease of one fan-out worker and list those whose lease runs.
-- Atomic because: all workers must see the same list, by the one clock of Redis.
-- KEYS[1] workers   sorted set, worker by the end of its lease in ms of TIME; slot {fanout}
-- ARGV[1] worker    string
-- ARGV[2] leaseMs   lease from now, ms; 0 or less gives the lease up
-- ARGV[3] lifeMs    life of the key after the last announcement, ms
-- returns the workers, sorted by name
local workers = KEYS[1]
local worker = ARGV[1]
local leaseMs = tonumber(ARGV[2])
local lifeMs = ARGV[3]

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if leaseMs > 0 then
  redis.call('ZADD', workers, now + leaseMs, worker)
else
  redis.call('ZREM', workers, worker)
end
redis.call('ZREMRANGEBYSCORE', workers, '-inf', now)
redis.call('PEXPIRE', workers, lifeMs)
local alive = redis.call('ZRANGE', workers, 0, -1)
table.sort(alive)
return alive
