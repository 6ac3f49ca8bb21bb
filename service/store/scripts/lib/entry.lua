-- Add an entry to the history of a repository, packed as store/dictionary.py says, and to the events of all repositories,
-- with flat values. entry: a table with tag, digest, short (the short digest, if it is known), size, actor, agent, address,
-- at_us (default: now) and media; a missing field is empty. Of an agent only the first word is kept, of an address all but
-- the port.
-- Needs lib/clock, lib/short, the keys events and dictionary, and the arguments history_entries and event_entries.

-- The number of a name; beyond 4096 names the name itself: a client can send any number of names.
local function packed_name(name)
  if name == '' then return '' end
  local number = redis.call('HGET', all.dictionary, name)
  if number then return number end
  number = redis.call('HLEN', all.dictionary) + 1
  if number > 4096 then return '=' .. name end
  redis.call('HSET', all.dictionary, name, number)
  return number
end

local function add_entry(history, repository, action, entry, reason, rule)
  local digest, actor, media = entry.digest or '', entry.actor or '', entry.media or ''
  local agent = string.match(entry.agent or '', '^%S*')
  local address = entry.address or ''
  address = string.match(address, '^([^:]*):%d+$') or string.match(address, '^(%[.*%]):%d+$') or address
  local size, at_us = entry.size or '0', entry.at_us or now_us
  reason, rule = reason or '', rule or ''
  redis.call('XADD', history, 'MAXLEN', '~', history_entries, '*',
    'action', packed_name(action), 'tag', entry.tag or '', 'digest', entry.short or short_of(digest), 'size', size,
    'actor', packed_name(actor), 'agent', packed_name(agent), 'address', address, 'at_us', at_us,
    'reason', reason, 'rule', packed_name(rule), 'media', packed_name(media))
  redis.call('XADD', all.events, 'MAXLEN', '~', event_entries, '*', 'repository', repository,
    'action', action, 'tag', entry.tag or '', 'digest', digest, 'size', size, 'actor', actor, 'agent', agent,
    'address', address, 'at_us', at_us, 'reason', reason, 'rule', rule, 'media', media)
end
