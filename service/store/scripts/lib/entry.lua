-- Add an entry to the history of a repository and to the events of all repositories. entry: a table with tag, digest,
-- size, actor, agent, address, at_us (default: now) and media; a missing field is empty.
-- Needs lib/clock, the key events, and the arguments history_entries and event_entries.
local function add_entry(history, repository, action, entry, reason, rule)
  local fields = {
    'action', action, 'tag', entry.tag or '', 'digest', entry.digest or '', 'size', entry.size or '0',
    'actor', entry.actor or '', 'agent', entry.agent or '', 'address', entry.address or '',
    'at_us', entry.at_us or now_us, 'reason', reason or '', 'rule', rule or '', 'media', entry.media or ''}
  redis.call('XADD', history, 'MAXLEN', '~', history_entries, '*', unpack(fields))
  redis.call('XADD', all.events, 'MAXLEN', '~', event_entries, '*', 'repository', repository, unpack(fields))
end
