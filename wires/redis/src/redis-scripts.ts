/**
 * What must look and act in one step, as Lua at the server. Redis lets anybody acknowledge, claim or renew anything: so
 * each of these looks first whose it is.
 *
 * KEYS: the stream, and the hash of positions. ARGV[1] is the service, which names the group; {@link addScript} has neither.
 *
 * A position is the last entry up to which all is done, and how many are done. Redis counts too (`entries-read`), but wrong after
 * a restart from its log, and on a replica: what is read is repeated there with the ids alone, and not counted. So its count, and
 * the lag it makes of that, are not used.
 */

const common = `
local stream, positions, group = KEYS[1], KEYS[2], ARGV[1]
local function fields(list)
  local map = {}
  for i = 1, #list, 2 do map[list[i]] = list[i + 1] end
  return map
end
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return ms, seq
end
local function before(a, b)
  local am, as = parts(a)
  local bm, bs = parts(b)
  if #am ~= #bm then return #am < #bm end
  if am ~= bm then return am < bm end
  if #as ~= #bs then return #as < #bs end
  return as < bs
end
local function groupOf()
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local found = fields(row)
    if found['name'] == group then return found end
  end
end
local function position()
  local known = redis.call('HGET', positions, group)
  if not known then return nil end
  local at, done = string.match(known, '^(%S+) (%d+)$')
  return at, tonumber(done)
end
local function remember(at, done)
  redis.call('HSET', positions, group, at .. ' ' .. string.format('%.0f', math.max(0, done)))
end
local function mine(consumer, ids)
  local owned, result = {}, {}
  local first, last = ids[1], ids[#ids]
  for _, row in ipairs(redis.call('XPENDING', stream, group, first, last, 100000, consumer)) do owned[row[1]] = true end
  for _, id in ipairs(ids) do if owned[id] then result[#result + 1] = id end end
  return result
end
`

/**
 * KEYS: the stream alone. ARGV: type, data and attributes of each event. Adds all of them, in order, with nobody else's
 * between them. One command, because a client makes an object, a promise and an answer of each, which cost as much as the rest of sending.
 */
export const addScript = `
for at = 1, #ARGV, 3 do
  redis.call('XADD', KEYS[1], '*', 'type', ARGV[at], 'data', ARGV[at + 1], 'ce', ARGV[at + 2])
end`

/**
 * ARGV: service, `beginning` or `now`, `accept` or `refuse`, `known` or `new`: what the ledger says of the group. Finds the
 * group, or makes it where the service had come to. Returns 'ok' or 'gap', and how many entries are missing (-1: the stream
 * itself was made anew; -2: neither group nor position is there, though the ledger knows the group).
 */
export const ensureScript = `${common}
local exists = redis.call('EXISTS', stream) == 1
local added, length, first, last = 0, 0, nil, '0-0'
if exists then
  local info = fields(redis.call('XINFO', 'STREAM', stream))
  added, length, last = info['entries-added'], info['length'], info['last-generated-id']
  if info['first-entry'] then first = info['first-entry'][1] end
end
local found = exists and groupOf() or nil
local at, read = position()
local known = at
if found then
  at = found['last-delivered-id']
  if read then read = read + found['pending'] end
end
-- What is at the end has read all: so what was counted wrong, or not at all, gets right.
if at and at == last then read = added end
local missing = 0
if not found and not known and ARGV[4] == 'known' then missing = -2
-- A stream to which fewer were ever added than were done is another one.
elseif known and not found and (not exists or before(last, at) or added < read) then missing = -1
elseif at and read and (not first or before(at, first)) then missing = math.max(0, added - read - length) end
if missing ~= 0 and ARGV[3] ~= 'accept' then return {'gap', missing} end
if missing < 0 then at, read = '0-0', added - length end
if missing > 0 then read = added - length end
if found then
  remember(known or at, (read or added) - found['pending'])
  return {'ok', missing}
end
if not at and ARGV[2] == 'beginning' then at, read = '0-0', added - length end
if not at then at, read = last, added end
redis.call('XGROUP', 'CREATE', stream, group, at, 'MKSTREAM', 'ENTRIESREAD', read)
remember(at, read)
return {'ok', missing}`

/** ARGV: service, consumer, ids in order. Acknowledges those that are the consumer's; returns how many. */
export const acknowledgeScript = `${common}
local ids = {}
for i = 3, #ARGV do ids[#ids + 1] = ARGV[i] end
-- To look at each costs more than to acknowledge it, and mostly nobody else holds anything.
local holders = redis.call('XPENDING', stream, group)[4]
local alone = holders and #holders == 1 and holders[1][1] == ARGV[2]
local owned = alone and ids or mine(ARGV[2], ids)
local acknowledged = #owned > 0 and redis.call('XACK', stream, group, unpack(owned)) or 0
local found = groupOf()
local pending = redis.call('XPENDING', stream, group)
local at = found['last-delivered-id']
if pending[1] > 0 then
  local ms, seq = parts(pending[2])
  if seq ~= '0' then at = ms .. '-' .. string.format('%.0f', tonumber(seq) - 1)
  else at = string.format('%.0f', tonumber(ms) - 1) .. '-18446744073709551615' end
end
local _, done = position()
remember(at, (done or 0) + acknowledged)
return #owned`

/** ARGV: service. How many entries are not done, also those that nobody has fetched; -1 where there is no such group. */
export const lagScript = `${common}
if redis.call('EXISTS', stream) == 0 then return -1 end
local found = groupOf()
if not found then return -1 end
local info = fields(redis.call('XINFO', 'STREAM', stream))
local _, done = position()
if not done or found['last-delivered-id'] == info['last-generated-id'] then return found['pending'] end
return math.max(found['pending'], info['entries-added'] - done)`

/** ARGV: service, a number. So many that the group held are gone from the stream: they count as done. */
export const goneScript = `${common}
local at, done = position()
if at then remember(at, done + ARGV[2]) end
return 1`

/** ARGV: service, consumer, ids in order. Renews those that are the consumer's; returns them. */
export const renewScript = `${common}
local ids = {}
for i = 3, #ARGV do ids[#ids + 1] = ARGV[i] end
local owned = mine(ARGV[2], ids)
if #owned == 0 then return {} end
local command = {'XCLAIM', stream, group, ARGV[2], 0}
for _, id in ipairs(owned) do command[#command + 1] = id end
command[#command + 1] = 'JUSTID'
redis.call(unpack(command))
return owned`

/** ARGV: service, consumer. Gives back all that the consumer holds, so that others get it at once, and forgets it. */
export const releaseScript = `${common}
if redis.call('EXISTS', stream) == 0 or not groupOf() then return 0 end
local rows = redis.call('XPENDING', stream, group, '-', '+', 4000, ARGV[2])
if #rows > 0 then
  local command = {'XCLAIM', stream, group, 'returned', 0}
  for _, row in ipairs(rows) do command[#command + 1] = row[1] end
  command[#command + 1] = 'IDLE'
  command[#command + 1] = 86400000
  command[#command + 1] = 'JUSTID'
  redis.call(unpack(command))
end
if #redis.call('XPENDING', stream, group, '-', '+', 1, ARGV[2]) == 0 then
  redis.call('XGROUP', 'DELCONSUMER', stream, group, ARGV[2])
end
return #rows`

/** ARGV: service, consumer. How many entries others hold. */
export const foreignScript = `${common}
local total = redis.call('XPENDING', stream, group)
if total[1] == 0 then return 0 end
for _, row in ipairs(total[4]) do if row[1] == ARGV[2] then return total[1] - tonumber(row[2]) end end
return total[1]`

/**
 * ARGV: service, how long entries are kept, milliseconds. Drops what every group is done with and is old enough, forgets
 * consumers of the service that have been dead and empty for a day, and counts anew what is done where all is read.
 */
export const trimScript = `${common}
if redis.call('EXISTS', stream) == 0 then return 0 end
local groups = redis.call('XINFO', 'GROUPS', stream)
if #groups == 0 then return 0 end
local now = redis.call('TIME')
local floor = string.format('%.0f', math.max(0, now[1] * 1000 + math.floor(now[2] / 1000) - ARGV[2])) .. '-0'
for _, row in ipairs(groups) do
  local each = fields(row)
  local needs = each['last-delivered-id']
  if each['pending'] > 0 then needs = redis.call('XPENDING', stream, each['name'])[2] end
  if before(needs, floor) then floor = needs end
end
local own = groupOf()
if own then
  local info = fields(redis.call('XINFO', 'STREAM', stream))
  local at = position()
  if at and own['last-delivered-id'] == info['last-generated-id'] then remember(at, info['entries-added'] - own['pending']) end
  for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local each = fields(row)
    if each['pending'] == 0 and each['idle'] > 86400000 then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, each['name'])
    end
  end
end
return redis.call('XTRIM', stream, 'MINID', floor)`
