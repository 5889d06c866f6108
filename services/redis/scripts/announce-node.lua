-- announce-node: renew the lease of a node, and remove the nodes whose lease is over.
-- Atomic because: a node must not be pruned between the look at its lease and the renewal.
-- KEYS[1] info     hash, node -> JSON          KEYS[2] leases   sorted set, node by end of lease (ms)
-- KEYS[3] version  number, raised when a node comes or goes; all three in slot {nodes}
-- ARGV[1] node     ARGV[2] JSON of its info    ARGV[3] lease ms    ARGV[4] version that the caller knows
-- ARGV[5] life of the keys, ms
-- returns { microseconds of TIME, 1 if the lease was still held, version, then every live node if the version is
-- another one or the lease was not held }
local info, leases, version = KEYS[1], KEYS[2], KEYS[3]
local node, json, lease, known, life = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local over = redis.call('ZRANGEBYSCORE', leases, '-inf', '(' .. string.format('%.0f', now))
for i = 1, #over do
  redis.call('ZREM', leases, over[i])
  redis.call('HDEL', info, over[i])
end
local held = redis.call('ZSCORE', leases, node) and 1 or 0
redis.call('ZADD', leases, string.format('%.0f', now + lease), node)
redis.call('HSET', info, node, json)
-- From the time on, so that a version of emptied data is never one that was known before.
if redis.call('EXISTS', version) == 0 then
  redis.call('SET', version, string.format('%.0f', time[1] * 1000000 + time[2]))
end
if #over > 0 or held == 0 then redis.call('INCR', version) end
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], life) end

local current = redis.call('GET', version)
local answer = { string.format('%.0f', time[1] * 1000000 + time[2]), held, current }
if current ~= known or held == 0 then
  local nodes = redis.call('ZRANGE', leases, 0, -1)
  for i = 1, #nodes do answer[#answer + 1] = nodes[i] end
end
return answer
