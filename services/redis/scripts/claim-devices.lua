-- claim-devices: take the routes of devices for the connections of one node.
-- Atomic because: of two nodes that claim a device, each must see what the other has written.
-- KEYS[i] route of claim i, string of lines `node device session generation order`; all in one slot
-- ARGV[1] node     ARGV[2] life of a route, ms
-- ARGV[3 + 4(i-1)] device, then session ('-' without one), generation, order (0: a new claim, later than all others)
-- returns 3 per claim: 'held' or 'lost', order of the winner, and the other node ('' if there was none)
local node, life = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- A claim of the same node is of an earlier connection, or this very claim once more.
local function wins(claim, previous)
  if previous == nil or previous.node == node then return true end
  local sameSession = claim.session ~= '-' and claim.session == previous.session
  if sameSession and claim.generation ~= previous.generation then
    return claim.generation > previous.generation
  end
  return claim.order == 0 or claim.order > previous.order
end

local answers = {}
for i = 1, #KEYS do
  local at = 3 + (i - 1) * 4
  local claim = { session = ARGV[at + 1], generation = tonumber(ARGV[at + 2]), order = tonumber(ARGV[at + 3]) }
  local device, lines, previous = ARGV[at], {}, nil
  for line in string.gmatch(redis.call('GET', KEYS[i]) or '', '[^\n]+') do
    local n, d, s, g, o = string.match(line, '^(%S+) (%S+) (%S+) (%d+) (%d+)$')
    if d == device then
      previous = { node = n, session = s, generation = tonumber(g), order = tonumber(o) }
    else
      lines[#lines + 1] = line
    end
  end
  local other = (previous and previous.node ~= node) and previous.node or ''
  if wins(claim, previous) then
    local order = claim.order == 0 and now or claim.order
    -- The node that lost goes by the order alone: it must be above its own.
    if previous then order = math.max(order, previous.order + (other == '' and 0 or 1)) end
    local text = string.format('%.0f', order)
    lines[#lines + 1] = table.concat({ node, device, claim.session, string.format('%.0f', claim.generation), text }, ' ')
    redis.call('SET', KEYS[i], table.concat(lines, '\n'), 'PX', life)
    answers[#answers + 1] = 'held'
    answers[#answers + 1] = text
  else
    answers[#answers + 1] = 'lost'
    answers[#answers + 1] = string.format('%.0f', previous.order)
  end
  answers[#answers + 1] = other
end
return answers
