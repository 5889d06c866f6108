-- read-presence: what nodes say of people; a node may begin to follow them with it, or cease to.
-- Atomic because: whoever is noted between the reading and the following would be missed.
-- KEYS[i] presence of person i, as in put-presence; all in one slot
-- ARGV[1] node     ARGV[2] how long it follows, ms; 0: as before; -1: no more     ARGV[3] life of a hash, ms
-- returns per person the lines `node state n at written`
local node, follows = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local answers = {}
for i = 1, #KEYS do
  local key = KEYS[i]
  if follows > 0 then
    redis.call('HSET', key, '~' .. node, string.format('%.0f', now + follows))
    redis.call('PEXPIRE', key, ARGV[3])
  elseif follows < 0 then
    redis.call('HDEL', key, '~' .. node)
  end
  local lines, fields = {}, redis.call('HGETALL', key)
  for j = 1, #fields, 2 do
    if string.sub(fields[j], 1, 1) ~= '~' then lines[#lines + 1] = fields[j] .. ' ' .. fields[j + 1] end
  end
  answers[i] = table.concat(lines, '\n')
end
return answers
