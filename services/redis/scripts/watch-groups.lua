-- watch-groups: note that a node has members of groups.
-- Atomic because: a set must never be without a life.
-- KEYS[i] watchers of group i, set of `node/lease number`; all in one slot
-- ARGV[1] watcher     ARGV[2] the same node under an earlier lease, or ''     ARGV[3] life of a set, ms
-- returns how many were new
local added = 0
for i = 1, #KEYS do
  added = added + redis.call('SADD', KEYS[i], ARGV[1])
  if ARGV[2] ~= '' then redis.call('SREM', KEYS[i], ARGV[2]) end
  redis.call('PEXPIRE', KEYS[i], ARGV[3])
end
return added
