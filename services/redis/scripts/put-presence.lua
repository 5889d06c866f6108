-- put-presence: note what a node says of people, and find who follows them.
-- Atomic because: a node that begins to follow must either read what is noted here, or be found here.
-- KEYS[i] presence of person i, hash: node -> `state n at written`, and ~node -> until when it follows, ms; all in one slot
-- ARGV[1] node     ARGV[2] life of a hash and of what a node said, ms
-- ARGV[3 + 3(i-1)] state (online, away or gone), then n, then since when, ms
-- returns per person the other nodes that follow, with a space between two
local node, life = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function isOver(field, value)
  if string.sub(field, 1, 1) == '~' then return tonumber(value) < now end
  return tonumber(string.match(value, '%d+$')) < now - life
end

local answers = {}
for i = 1, #KEYS do
  local key, at = KEYS[i], 3 + (i - 1) * 3
  if ARGV[at] == 'gone' then
    redis.call('HDEL', key, node)
  else
    local written = string.format('%.0f', now)
    redis.call('HSET', key, node, table.concat({ ARGV[at], ARGV[at + 1], ARGV[at + 2], written }, ' '))
  end
  local followers, fields = {}, redis.call('HGETALL', key)
  for j = 1, #fields, 2 do
    if isOver(fields[j], fields[j + 1]) then
      redis.call('HDEL', key, fields[j])
    elseif string.sub(fields[j], 1, 1) == '~' and fields[j] ~= '~' .. node then
      followers[#followers + 1] = string.sub(fields[j], 2)
    end
  end
  redis.call('PEXPIRE', key, life)
  answers[i] = table.concat(followers, ' ')
end
return answers
