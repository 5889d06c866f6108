/** What moves of the chat business: the tables of sqlite/migrations/0003_chat.sql, under the same names in both engines. */
import { numbers, type TableMove, texts } from './table-move.ts'

/** A table whose rows are moved as they are. */
const table = (name: string, key: readonly string[], columns: TableMove['columns']): TableMove => ({
  table: name,
  from: name,
  key,
  columns,
})

export const CHAT_MOVES: readonly TableMove[] = [
  table('profile', ['account'], {
    ...numbers('account'),
    ...texts('name', 'avatar', 'attributes'),
    ...numbers('changed_at'),
  }),
  table('setting', ['account', 'name'], {
    ...numbers('account'),
    ...texts('name', 'value'),
    ...numbers('changed_at'),
  }),
  table('change', ['account', 'scope', 'key'], {
    ...numbers('account'),
    ...texts('scope', 'key'),
    ...numbers('version'),
  }),
  table('erasure', ['account'], {
    ...numbers('account', 'asked_at'),
    ...texts('stage'),
    ...numbers('log', 'seq'),
  }),
  table('conversation_state', ['account', 'log'], {
    ...numbers('account', 'log', 'pinned_at', 'muted_until', 'archived_at'),
    ...texts('draft'),
    ...numbers('hidden_seq', 'cleared_seq', 'marked_unread', 'changed_at'),
  }),
  table('group_ban', ['log', 'account'], {
    ...numbers('log', 'account', 'banned_by'),
    ...texts('reason'),
    ...numbers('banned_at', 'until'),
  }),
  table('group_link', ['token'], {
    ...texts('token'),
    ...numbers('log', 'made_by', 'made_at', 'expires_at', 'uses_max', 'uses'),
  }),
  table('join_request', ['log', 'account'], {
    ...numbers('log', 'account'),
    ...texts('text'),
    ...numbers('invited_by', 'asked_at'),
  }),
  table('pin', ['log', 'seq'], numbers('log', 'seq', 'pinned_by', 'pinned_at')),
  table('hidden', ['account', 'log', 'seq'], numbers('account', 'log', 'seq')),
  table('reaction', ['log', 'seq', 'emoji', 'account'], {
    ...numbers('log', 'seq', 'account'),
    ...texts('emoji'),
    ...numbers('reacted_at'),
  }),
  table('mention', ['account', 'log', 'seq'], numbers('account', 'log', 'seq')),
  table('origin', ['account', 'log', 'seq'], numbers('account', 'log', 'seq')),
  {
    ...table('scheduled_send', ['n'], {
      ...numbers('n', 'account'),
      ...texts('device', 'id', 'target', 'type', 'body'),
      ...numbers('due_at', 'made_at', 'withheld'),
      ...texts('sent_hash'),
      ...numbers('lease_until'),
    }),
    sequence: { column: 'n' },
  },
  table('replaced_body', ['log', 'seq'], { ...numbers('log', 'seq'), ...texts('hash') }),
  table('expiry', ['log', 'seq'], numbers('log', 'seq', 'due_at', 'after_read_ms')),
  table('media', ['id'], {
    ...texts('id'),
    ...numbers('account'),
    ...texts('state', 'name', 'type'),
    ...numbers('bytes'),
    ...texts('sha256'),
    ...numbers('width', 'height', 'thumbnail', 'part_bytes', 'made_at', 'ready_at', 'retired_at'),
  }),
  table('media_part', ['media', 'part'], { ...texts('media'), ...numbers('part', 'bytes') }),
  table('media_use', ['media', 'log', 'seq'], { ...texts('media'), ...numbers('log', 'seq') }),
  {
    ...table('report', ['n'], {
      ...numbers('n', 'reporter', 'account', 'log', 'seq'),
      ...texts('reason', 'text', 'evidence'),
      ...numbers('made_at', 'decided_at'),
      ...texts('decision', 'note'),
    }),
    sequence: { column: 'n' },
  },
  table('banned_word', ['word'], { ...texts('word', 'action'), ...numbers('changed_at') }),
  {
    ...table('webhook', ['n'], {
      ...numbers('n'),
      ...texts('id', 'url', 'secret', 'events'),
      ...numbers('acked', 'attempts', 'next_at'),
      ...texts('last_error'),
      ...numbers('paused', 'made_at'),
      ...texts('lease_by'),
      ...numbers('lease_until'),
    }),
    sequence: { column: 'n' },
  },
  {
    ...table('event', ['n'], {
      ...numbers('n', 'seq', 'at'),
      ...texts('type', 'body'),
    }),
    sequence: { column: 'n' },
  },
  { ...table('event_order', ['n'], numbers('n', 'last')), replaces: true },
  table('dead_letter', ['webhook', 'seq'], {
    ...numbers('webhook', 'seq', 'attempts'),
    ...texts('error'),
    ...numbers('at', 'event_at'),
    ...texts('type', 'body'),
    ...numbers('retry'),
  }),
  table('imported', ['log'], numbers('log', 'head', 'messages', 'joined_seq', 'member')),
  table('api_key', ['hash'], {
    ...texts('hash', 'id'),
    ...numbers('account'),
    ...texts('name'),
    ...numbers('made_at', 'ended_at'),
  }),
  table('broadcast', ['id'], {
    ...texts('id'),
    ...numbers('account'),
    ...texts('type', 'body', 'filter', 'state'),
    ...numbers('reached', 'last', 'sent', 'skipped', 'made_at', 'ended_at'),
    ...texts('lease_by'),
    ...numbers('lease_until'),
  }),
  {
    // The version of the list of words. Where the index of searches stands is a matter of the engine: it begins anew.
    ...table('progress', ['name'], texts('name', 'position')),
    from: `(select * from progress where name = 'banned_words')`,
  },
]
