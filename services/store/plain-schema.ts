/** The tables of plain MQTT: see {@link PlainStore} for what they hold. */
import type { Generated, Kysely } from 'kysely'

export type PlainSchema = {
  /** `queued` is the number of rows in `plain_queue`. */
  plain_session: { n: Generated<number>; client_id: string; queued: number }
  plain_subscription: {
    session: number
    filter: string
    qos: number
    rh: number | null
    rap: number | null
    nl: number | null
    identifier: number | null
  }
  /** A message that waits for `refs` sessions. */
  plain_message: {
    n: Generated<number>
    topic: string
    payload: Uint8Array | string
    head: string
    origin: string
    expires_at: number | null
    refs: number
  }
  /** `state` is 0 queued, 1 sent, 2 released; `identifiers` is a JSON array. */
  plain_queue: {
    session: number
    message: number
    qos: number
    retain: number
    identifiers: string
    packet_id: number | null
    state: number
  }
  /** Packet ids of QoS 2 PUBLISHes that were taken and whose PUBREL has not come. */
  plain_receipt: { session: number; packet_id: number; packet: string }
  plain_retained: {
    topic: string
    payload: Uint8Array | string
    head: string
    origin: string
    expires_at: number | null
  }
  /** `publish_at` is null while its client is connected, to the node `holder`. */
  plain_will: {
    client_id: string
    will: string
    publish_at: number | null
    delay_ms: number
    holder: string
  }
}

/** Tables whose rows are the primary key's B-tree in SQLite. */
export const PLAIN_CLUSTERED_TABLES = ['plain_subscription', 'plain_queue', 'plain_receipt'] as const

export function createPlainTables<Schema extends PlainSchema>({ schema }: Kysely<Schema>) {
  return [
    schema
      .createTable('plain_session')
      .addColumn('n', 'integer', (c) => c.primaryKey())
      .addColumn('client_id', 'text', (c) => c.notNull().unique())
      .addColumn('queued', 'integer', (c) => c.notNull()),
    schema
      .createTable('plain_subscription')
      .addColumn('session', 'integer', (c) => c.notNull())
      .addColumn('filter', 'text', (c) => c.notNull())
      .addColumn('qos', 'integer', (c) => c.notNull())
      .addColumn('rh', 'integer')
      .addColumn('rap', 'integer')
      .addColumn('nl', 'integer')
      .addColumn('identifier', 'integer')
      .addPrimaryKeyConstraint('plain_subscription_pk', ['session', 'filter']),
    schema
      .createTable('plain_message')
      .addColumn('n', 'integer', (c) => c.primaryKey().autoIncrement())
      .addColumn('topic', 'text', (c) => c.notNull())
      .addColumn('payload', 'blob', (c) => c.notNull())
      .addColumn('head', 'text', (c) => c.notNull())
      .addColumn('origin', 'text', (c) => c.notNull())
      .addColumn('expires_at', 'bigint')
      .addColumn('refs', 'integer', (c) => c.notNull()),
    schema
      .createTable('plain_queue')
      .addColumn('session', 'integer', (c) => c.notNull())
      .addColumn('message', 'bigint', (c) => c.notNull())
      .addColumn('qos', 'integer', (c) => c.notNull())
      .addColumn('retain', 'integer', (c) => c.notNull())
      .addColumn('identifiers', 'text', (c) => c.notNull())
      .addColumn('packet_id', 'integer')
      .addColumn('state', 'integer', (c) => c.notNull())
      .addPrimaryKeyConstraint('plain_queue_pk', ['session', 'message']),
    schema
      .createTable('plain_receipt')
      .addColumn('session', 'integer', (c) => c.notNull())
      .addColumn('packet_id', 'integer', (c) => c.notNull())
      .addColumn('packet', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('plain_receipt_pk', ['session', 'packet_id']),
    schema
      .createTable('plain_retained')
      .addColumn('topic', 'text', (c) => c.primaryKey())
      .addColumn('payload', 'blob', (c) => c.notNull())
      .addColumn('head', 'text', (c) => c.notNull())
      .addColumn('origin', 'text', (c) => c.notNull())
      .addColumn('expires_at', 'bigint'),
    schema
      .createTable('plain_will')
      .addColumn('client_id', 'text', (c) => c.primaryKey())
      .addColumn('will', 'text', (c) => c.notNull())
      .addColumn('publish_at', 'bigint'),
  ]
}

/** The second version: who holds a will, and for how long it is delayed when that one is gone. */
export function addWillHolder<Schema extends PlainSchema>({ schema }: Kysely<Schema>) {
  return [
    schema.alterTable('plain_will').addColumn('delay_ms', 'integer', (c) => c.notNull().defaultTo(0)),
    schema.alterTable('plain_will').addColumn('holder', 'text', (c) => c.notNull().defaultTo('')),
    schema.createIndex('plain_will_due').on('plain_will').column('publish_at'),
  ]
}
