-- release-devices: give up the routes of devices, as far as they are still held by the same claim.
-- Atomic because: a claim of another node between the look and the removal would be lost.
-- KEYS[i] route of device i, string of lines `node device session generation order`; all in one slot
-- ARGV[1] node     ARGV[2 + 2(i-1)] device, then order of the claim
-- returns how many were released
local node, released = ARGV[1], 0
for i = 1, #KEYS do
  local at = 2 + (i - 1) * 2
  local device, order = ARGV[at], ARGV[at + 1]
  local lines, found = {}, false
  for line in string.gmatch(redis.call('GET', KEYS[i]) or '', '[^\n]+') do
    local n, d, o = string.match(line, '^(%S+) (%S+) %S+ %d+ (%d+)$')
    if n == node and d == device and o == order then found = true else lines[#lines + 1] = line end
  end
  if found then
    released = released + 1
    if #lines == 0 then
      redis.call('DEL', KEYS[i])
    else
      redis.call('SET', KEYS[i], table.concat(lines, '\n'), 'KEEPTTL')
    end
  end
end
return released
