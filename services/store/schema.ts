/**
 * The tables, for both engines, and the migrations that make them. Numbers are ms since 1970 where a column ends in
 * `_at`; booleans are 0 or 1. Accounts and logs have an integer of their own, so that the two largest indexes stay
 * small; nothing outside the store sees those.
 */
import type { Generated, Kysely } from 'kysely'
import { CHAT_CLUSTERED_TABLES, CHAT_TABLES } from './chat-schema.ts'
import { addWillHolder, createPlainTables, PLAIN_CLUSTERED_TABLES, type PlainSchema } from './plain-schema.ts'

export type Schema = PlainSchema & {
  account: { n: Generated<number>; uid: string; phone: string | null; created_at: number }
  /** A device of an account. Tokens issued up to `revoked_at` are refused. */
  device: {
    account: number
    id: string
    kind: string
    name: string
    created_at: number
    seen_at: number
    revoked_at: number | null
  }
  /** A login: one family of refresh tokens. `ended_at` refuses its access tokens too. */
  login: {
    sid: string
    account: number
    device: string
    refresh_hash: string
    created_at: number
    expires_at: number
    ended_at: number | null
  }
  sms_code: { phone: string; hash: string; expires_at: number; tries: number }
  /** Codes sent per phone or address since `window_at`. */
  sms_count: { key: string; window_at: number; count: number }
  /** A persistent MQTT session. `expires_at` is null while a device is connected. */
  session: {
    n: Generated<number>
    client_id: string
    account: number
    device: string
    generation: number
    inbox_qos: number | null
    /** The inbox was subscribed once: its cursors count from then on. */
    inbox_started: number
    reply: number
    live: number
    expires_at: number | null
  }
  /** The last acknowledged seq of a log, per persistent session. */
  cursor: { session: number; log: number; seq: number; epoch: number }
  /** One side's view of the other: `none`, `requested`, `asked` or `friend`. */
  contact: {
    account: number
    peer: number
    state: string
    blocked: number
    text: string | null
    changed_at: number
  }
  /** `head` and `messages` follow the entries in batches; `first` is the lowest seq that is kept. */
  log: {
    n: Generated<number>
    name: string
    epoch: number
    head: number
    messages: number
    first: number
    last_at: number
  }
  chat_group: { log: number; name: string; owner: number; members: number; created_at: number }
  /** A window of a log that an account may see: the entry that let it in to the one that let it out. */
  membership: { account: number; log: number; from_seq: number; to_seq: number | null; joined_at: number }
  /** Read pointer, and the counts that make unread a subtraction: messages and own messages up to it. */
  reader: {
    account: number
    log: number
    read_seq: number
    read_messages: number
    own: number
    read_own: number
  }
  /** `message_no` is the running number of messages in the log up to this entry. */
  entry: {
    /** Order of filing. Entries of many logs are filed together, so appending is far cheaper than sorting them in. */
    n: Generated<number>
    log: number
    seq: number
    message_no: number
    at: number
    kind: string
    account: number
    device: string | null
    id: string | null
    /** Of account and id; see id-hash.ts. */
    id_hash: number | null
    type: string
    body: string
    /** Of the wire's `EntryState`, as JSON; null for an entry that nothing happened to. */
    state: string | null
  }
  /** Commits that are not yet in the tables above; a line per entry, as it goes over the wire. */
  journal: { n: Generated<number>; lines: Uint8Array }
  /** Results of mutating calls by the caller's requestId. */
  request: { account: number; id: string; op: string; hash: string; result: string; at: number }
}

/** Forward-only. A released migration is never edited; the next one is appended. */
export const MIGRATIONS: readonly ((db: Kysely<Schema>) => readonly { compile(): { sql: string } }[])[] = [
  (db) => {
    const { schema } = db
    return [
      schema
        .createTable('account')
        .addColumn('n', 'integer', (c) => c.primaryKey())
        .addColumn('uid', 'text', (c) => c.notNull().unique())
        .addColumn('phone', 'text', (c) => c.unique())
        .addColumn('created_at', 'bigint', (c) => c.notNull()),
      schema
        .createTable('device')
        .addColumn('account', 'integer', (c) => c.notNull())
        .addColumn('id', 'text', (c) => c.notNull())
        .addColumn('kind', 'text', (c) => c.notNull())
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('created_at', 'bigint', (c) => c.notNull())
        .addColumn('seen_at', 'bigint', (c) => c.notNull())
        .addColumn('revoked_at', 'bigint')
        .addPrimaryKeyConstraint('device_pk', ['account', 'id']),
      schema
        .createTable('login')
        .addColumn('sid', 'text', (c) => c.primaryKey())
        .addColumn('account', 'integer', (c) => c.notNull())
        .addColumn('device', 'text', (c) => c.notNull())
        .addColumn('refresh_hash', 'text', (c) => c.notNull())
        .addColumn('created_at', 'bigint', (c) => c.notNull())
        .addColumn('expires_at', 'bigint', (c) => c.notNull())
        .addColumn('ended_at', 'bigint'),
      schema.createIndex('login_by_device').on('login').columns(['account', 'device']),
      schema
        .createTable('sms_code')
        .addColumn('phone', 'text', (c) => c.primaryKey())
        .addColumn('hash', 'text', (c) => c.notNull())
        .addColumn('expires_at', 'bigint', (c) => c.notNull())
        .addColumn('tries', 'integer', (c) => c.notNull()),
      schema
        .createTable('sms_count')
        .addColumn('key', 'text', (c) => c.primaryKey())
        .addColumn('window_at', 'bigint', (c) => c.notNull())
        .addColumn('count', 'integer', (c) => c.notNull()),
      schema
        .createTable('session')
        // Never given twice: a cursor that is written late must not fall into a later session of the same number.
        .addColumn('n', 'integer', (c) => c.primaryKey().autoIncrement())
        .addColumn('client_id', 'text', (c) => c.notNull().unique())
        .addColumn('account', 'integer', (c) => c.notNull())
        .addColumn('device', 'text', (c) => c.notNull())
        .addColumn('generation', 'integer', (c) => c.notNull())
        .addColumn('inbox_qos', 'integer')
        .addColumn('inbox_started', 'integer', (c) => c.notNull())
        .addColumn('reply', 'integer', (c) => c.notNull())
        .addColumn('live', 'integer', (c) => c.notNull())
        .addColumn('expires_at', 'bigint'),
      schema.createIndex('session_by_end').on('session').column('expires_at'),
      schema
        .createTable('cursor')
        .addColumn('session', 'integer', (c) => c.notNull())
        .addColumn('log', 'integer', (c) => c.notNull())
        .addColumn('seq', 'bigint', (c) => c.notNull())
        .addColumn('epoch', 'integer', (c) => c.notNull())
        .addPrimaryKeyConstraint('cursor_pk', ['session', 'log']),
      schema
        .createTable('contact')
        .addColumn('account', 'integer', (c) => c.notNull())
        .addColumn('peer', 'integer', (c) => c.notNull())
        .addColumn('state', 'text', (c) => c.notNull())
        .addColumn('blocked', 'integer', (c) => c.notNull())
        .addColumn('text', 'text')
        .addColumn('changed_at', 'bigint', (c) => c.notNull())
        .addPrimaryKeyConstraint('contact_pk', ['account', 'peer']),
      schema
        .createTable('log')
        .addColumn('n', 'integer', (c) => c.primaryKey())
        .addColumn('name', 'text', (c) => c.notNull().unique())
        .addColumn('epoch', 'integer', (c) => c.notNull())
        .addColumn('head', 'bigint', (c) => c.notNull())
        .addColumn('messages', 'bigint', (c) => c.notNull())
        .addColumn('first', 'bigint', (c) => c.notNull())
        .addColumn('last_at', 'bigint', (c) => c.notNull()),
      schema
        .createTable('chat_group')
        .addColumn('log', 'integer', (c) => c.primaryKey())
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('owner', 'integer', (c) => c.notNull())
        .addColumn('members', 'integer', (c) => c.notNull())
        .addColumn('created_at', 'bigint', (c) => c.notNull()),
      schema
        .createTable('membership')
        .addColumn('account', 'integer', (c) => c.notNull())
        .addColumn('log', 'integer', (c) => c.notNull())
        .addColumn('from_seq', 'bigint', (c) => c.notNull())
        .addColumn('to_seq', 'bigint')
        .addColumn('joined_at', 'bigint', (c) => c.notNull())
        .addPrimaryKeyConstraint('membership_pk', ['account', 'log', 'from_seq']),
      // The members of now, in the order in which they joined. Partial, so that no planner takes it to look for one
      // account: of 100,000 members it would read half.
      schema
        .createIndex('membership_by_log')
        .on('membership')
        .columns(['log', 'from_seq', 'account', 'to_seq'])
        .where('to_seq', 'is', null),
      schema
        .createTable('reader')
        .addColumn('account', 'integer', (c) => c.notNull())
        .addColumn('log', 'integer', (c) => c.notNull())
        .addColumn('read_seq', 'bigint', (c) => c.notNull())
        .addColumn('read_messages', 'bigint', (c) => c.notNull())
        .addColumn('own', 'bigint', (c) => c.notNull())
        .addColumn('read_own', 'bigint', (c) => c.notNull())
        .addPrimaryKeyConstraint('reader_pk', ['account', 'log']),
      schema
        .createTable('entry')
        .addColumn('n', 'integer', (c) => c.primaryKey())
        .addColumn('log', 'integer', (c) => c.notNull())
        .addColumn('seq', 'bigint', (c) => c.notNull())
        .addColumn('message_no', 'bigint', (c) => c.notNull())
        .addColumn('at', 'bigint', (c) => c.notNull())
        .addColumn('kind', 'text', (c) => c.notNull())
        .addColumn('account', 'integer', (c) => c.notNull())
        .addColumn('device', 'text')
        .addColumn('id', 'text')
        .addColumn('id_hash', 'bigint')
        .addColumn('type', 'text', (c) => c.notNull())
        .addColumn('body', 'text', (c) => c.notNull()),
      schema.createIndex('entry_by_seq').on('entry').columns(['log', 'seq']).unique(),
      schema.createIndex('entry_by_id').on('entry').column('id_hash').where('id_hash', 'is not', null),
      schema
        .createTable('journal')
        .addColumn('n', 'integer', (c) => c.primaryKey())
        .addColumn('lines', 'blob', (c) => c.notNull()),
      schema
        .createTable('request')
        .addColumn('account', 'integer', (c) => c.notNull())
        .addColumn('id', 'text', (c) => c.notNull())
        .addColumn('op', 'text', (c) => c.notNull())
        .addColumn('hash', 'text', (c) => c.notNull())
        .addColumn('result', 'text', (c) => c.notNull())
        .addColumn('at', 'bigint', (c) => c.notNull())
        .addPrimaryKeyConstraint('request_pk', ['account', 'id']),
      schema.createIndex('request_by_time').on('request').column('at'),
      ...createPlainTables(db),
    ]
  },
  (db) => addWillHolder(db),
  () => CHAT_TABLES.map((sql) => ({ compile: () => ({ sql }) })),
]

/** Tables whose rows are the primary key's B-tree in SQLite: no second tree to keep. */
export const CLUSTERED_TABLES: ReadonlySet<string> = new Set([
  'cursor',
  'contact',
  'membership',
  'reader',
  'device',
  'request',
  ...PLAIN_CLUSTERED_TABLES,
  ...CHAT_CLUSTERED_TABLES,
])
