/** What moves: each table of the SQLite file, and what its rows become in PostgreSQL. */
import { payloadBytes, textHash } from '../postgres/plain-rows.ts'
import { CHAT_MOVES } from './chat-tables.ts'
import { numbers, type Row, type TableMove, texts } from './table-move.ts'

/** Holder of sessions and wills that a server which died left connected; no node has this name while it lives. */
const NO_NODE = 'sqlite'

const flag = (value: unknown): boolean | null => (value === null ? null : value === 1)

/** A payload is bytes in PostgreSQL; whether it was handed in as text is kept beside it. */
const message = (row: Row): Row => {
  const payload = row.payload as Uint8Array | string
  return { ...row, payload: payloadBytes(payload), is_text: typeof payload === 'string' }
}

/** In an order in which a half of it makes sense: people before what they wrote. */
export const TABLES: readonly TableMove[] = [
  {
    table: 'account',
    from: 'account',
    key: ['n'],
    columns: {
      ...numbers('n'),
      ...texts('uid', 'phone'),
      ...numbers('created_at'),
      ...texts('kind', 'state'),
      ...numbers('state_at', 'version'),
      ...texts('takes'),
      ...numbers('suspended_at', 'suspended_until'),
      ...texts('suspended_for'),
    },
    sequence: { column: 'n' },
  },
  {
    table: 'device',
    from: 'device',
    key: ['account', 'id'],
    columns: {
      ...numbers('account'),
      ...texts('id', 'kind', 'name'),
      ...numbers('created_at', 'seen_at', 'revoked_at'),
    },
  },
  {
    table: 'login',
    from: 'login',
    key: ['sid'],
    columns: {
      ...texts('sid'),
      ...numbers('account'),
      ...texts('device', 'refresh_hash'),
      ...numbers('created_at', 'expires_at', 'ended_at'),
    },
  },
  {
    table: 'sms_code',
    from: 'sms_code',
    key: ['phone'],
    columns: { ...texts('phone', 'hash'), ...numbers('expires_at', 'tries') },
  },
  {
    table: 'sms_count',
    from: 'sms_count',
    key: ['key'],
    columns: { ...texts('key'), ...numbers('window_at', 'count') },
  },
  {
    table: 'contact',
    from: 'contact',
    key: ['account', 'peer'],
    columns: {
      ...numbers('account', 'peer'),
      ...texts('state'),
      ...numbers('blocked'),
      ...texts('text'),
      ...numbers('changed_at'),
      ...texts('remark', 'tags'),
      ...numbers('refused_until'),
      ...texts('block_mode'),
    },
  },
  {
    table: 'log',
    from: 'log',
    key: ['n'],
    columns: {
      ...numbers('n'),
      ...texts('name'),
      ...numbers('epoch', 'head', 'messages', 'first', 'last_at'),
    },
    sequence: { column: 'n' },
  },
  {
    table: 'chat_group',
    from: 'chat_group',
    key: ['log'],
    columns: {
      ...numbers('log'),
      ...texts('name'),
      ...numbers('owner', 'members', 'created_at'),
      ...texts('kind', 'avatar', 'about', 'announcement'),
      ...numbers('announced_by', 'announced_at'),
      ...texts('who_writes', 'who_invites', 'who_pins'),
      ...numbers('approval', 'keeps_entries', 'muted_until', 'changed_at', 'dissolved_at'),
    },
  },
  {
    table: 'membership',
    from: 'membership',
    key: ['account', 'log', 'from_seq'],
    columns: {
      ...numbers('account', 'log', 'from_seq', 'to_seq', 'joined_at'),
      ...texts('role', 'nickname', 'left_name'),
      ...numbers('muted_until'),
    },
  },
  {
    table: 'reader',
    from: 'reader',
    key: ['account', 'log'],
    columns: numbers('account', 'log', 'read_seq', 'read_messages', 'own', 'read_own'),
  },
  {
    table: 'entry',
    from: 'entry',
    key: ['n'],
    columns: {
      ...numbers('log', 'seq', 'message_no', 'at', 'account', 'id_hash'),
      ...texts('kind', 'device', 'id', 'type', 'body', 'state'),
    },
  },
  ...CHAT_MOVES,
  {
    table: 'session',
    from: 'session',
    key: ['n'],
    columns: {
      ...numbers('n'),
      ...texts('client_id'),
      ...numbers('account'),
      ...texts('device'),
      ...numbers('generation', 'inbox_qos', 'inbox_started', 'reply', 'live', 'expires_at'),
      ...texts('node'),
    },
    build: (row) => ({ ...row, node: NO_NODE }),
    sequence: { column: 'n' },
  },
  {
    table: 'cursor',
    from: 'cursor',
    key: ['session', 'log'],
    columns: numbers('session', 'log', 'seq', 'epoch'),
  },
  {
    table: 'request',
    from: 'request',
    key: ['account', 'id'],
    columns: {
      ...numbers('account'),
      ...texts('id', 'op', 'hash', 'result'),
      ...numbers('at'),
    },
  },
  {
    table: 'plain_session',
    from: `(select *, (select count(*) from plain_queue where session = plain_session.n and state = 0) as waiting
            from plain_session)`,
    key: ['n'],
    columns: { ...numbers('n'), ...texts('client_id'), ...numbers('generation', 'queued', 'waiting') },
    build: (row) => ({ ...row, generation: 0 }),
    sequence: { column: 'n' },
  },
  {
    table: 'plain_subscription',
    from: 'plain_subscription',
    key: ['session', 'filter'],
    columns: {
      ...numbers('session'),
      filter_hash: 'bytea',
      ...texts('filter'),
      ...numbers('qos', 'rh'),
      rap: 'boolean',
      nl: 'boolean',
      ...numbers('identifier'),
    },
    build: (row) => ({
      ...row,
      filter_hash: textHash(row.filter as string),
      rap: flag(row.rap),
      nl: flag(row.nl),
    }),
  },
  {
    table: 'plain_message',
    from: 'plain_message',
    key: ['n'],
    columns: {
      ...numbers('n'),
      ...texts('topic'),
      payload: 'bytea',
      is_text: 'boolean',
      ...texts('head', 'origin'),
      ...numbers('expires_at', 'refs'),
    },
    build: message,
    sequence: { name: 'plain_number' },
  },
  {
    table: 'plain_queue',
    from: 'plain_queue',
    key: ['session', 'message'],
    columns: {
      ...numbers('session', 'message', 'qos'),
      retain: 'boolean',
      ...texts('identifiers'),
      ...numbers('packet_id', 'state'),
    },
    build: (row) => ({ ...row, retain: flag(row.retain) }),
  },
  {
    table: 'plain_receipt',
    from: 'plain_receipt',
    key: ['session', 'packet_id'],
    columns: { ...numbers('session', 'packet_id'), ...texts('packet') },
  },
  {
    table: 'plain_retained',
    from: 'plain_retained',
    key: ['topic'],
    columns: {
      topic_hash: 'bytea',
      ...texts('topic'),
      payload: 'bytea',
      is_text: 'boolean',
      ...texts('head', 'origin'),
      ...numbers('expires_at'),
    },
    build: (row) => ({ ...message(row), topic_hash: textHash(row.topic as string) }),
  },
  {
    table: 'plain_will',
    from: 'plain_will',
    key: ['client_id'],
    columns: { ...texts('client_id', 'will', 'holder'), ...numbers('delay_ms', 'publish_at') },
    build: (row) => ({ ...row, holder: NO_NODE, delay_ms: delayOf(row.will as string) }),
  },
]

/** The delay of a stored will (broker/engine/wills.ts), ms. */
function delayOf(will: string): number {
  const { delaySeconds = 0 } = JSON.parse(will) as { delaySeconds?: number }
  return delaySeconds * 1000
}

/** The target row as a list of values, in the order of the columns. */
export function buildValues(move: TableMove, row: Row): unknown[] {
  const built = move.build?.(row) ?? row
  return Object.keys(move.columns).map((column) => built[column] ?? null)
}
