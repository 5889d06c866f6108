-- leave-node: a node goes by itself.
-- Atomic because: info, lease and version tell the same story.
-- KEYS[1] info     hash, node -> JSON          KEYS[2] leases   sorted set, node by end of lease (ms)
-- KEYS[3] version  number, raised when a node comes or goes; all three in slot {nodes}
-- ARGV[1] node
-- returns 1 if it was there
local removed = redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
if removed == 1 and redis.call('EXISTS', KEYS[3]) == 1 then redis.call('INCR', KEYS[3]) end
return removed
