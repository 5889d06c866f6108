/** Plain MQTT in SQLite. Statements are written out: most of them run once per message. */
import {
  NO_STEP,
  type PlainMessage,
  type PlainOutcome,
  type PlainPublication,
  type PlainStore,
  type PlainSubscription,
  type PlainTarget,
  type PlainWill,
} from '../plain.ts'
import type { Operations } from './operations.ts'
import { plainQueueOperations } from './plain-queue.ts'
import { endPlainSession, ensurePlainSession, findPlainSession, hasPlainSession } from './plain-session.ts'
import type { Work } from './work.ts'

export { endPlainSession, hasPlainSession } from './plain-session.ts'

type SubscriptionRow = {
  filter: string
  qos: 0 | 1 | 2
  rh: number | null
  rap: number | null
  nl: number | null
  identifier: number | null
}

type RetainedRow = {
  topic: string
  payload: Uint8Array | string
  head: string
  origin: string
  expires_at: number | null
}

type WillRow = { client_id: string; will: string; publish_at: number | null }

export const plainOperations: Operations<PlainStore> = {
  ...plainQueueOperations,

  publishPlain(work, { publications, queuedMax }) {
    const outcomes = publications.map((publication) => publish(work, publication, queuedMax))
    return { stale: false, outcomes, step: NO_STEP }
  },

  plainVersion() {
    return NO_STEP.to
  },

  plainChanges() {
    return { tooOld: false, changes: { sessions: [], topics: [] }, version: NO_STEP.to, isLast: true }
  },

  subscribePlain(work, { clientId, subscriptions }) {
    const session = ensurePlainSession(work, clientId)
    for (const subscription of subscriptions) keepSubscription(work, session, subscription)
    return NO_STEP
  },

  unsubscribePlain(work, { clientId, filters }) {
    const session = findPlainSession(work, clientId)
    if (session === undefined) return NO_STEP
    const statement = work.db.prepare('delete from plain_subscription where session = ? and filter = ?')
    for (const filter of filters) statement.run(session, filter)
    return NO_STEP
  },

  pagePlainSessions(work, { after, entriesMax }) {
    const sessions = work.db
      .prepare('select n, client_id from plain_session where client_id > ? order by client_id limit ?')
      .all(after, entriesMax) as { n: number; client_id: string }[]
    const subscriptions = work.db.prepare(
      'select filter, qos, rh, rap, nl, identifier from plain_subscription where session = ? order by filter',
    )
    return sessions.map(({ n, client_id }) => ({
      clientId: client_id,
      subscriptions: (subscriptions.all(n) as SubscriptionRow[]).map(readSubscription),
    }))
  },

  resumePlain(work, { clientId, persistent }) {
    const session = persistent ? ensurePlainSession(work, clientId) : findPlainSession(work, clientId)
    if (session === undefined) return { generation: null, receipts: [], packetIds: [], waiting: false }
    const receipts = work.db
      .prepare('select packet_id from plain_receipt where session = ? order by packet_id')
      .all(session) as { packet_id: number }[]
    return {
      generation: NO_STEP.to,
      receipts: receipts.map((row) => row.packet_id),
      packetIds: sentIds(work, session),
      waiting: work.db.prepare('select 1 from plain_queue where session = ?').get(session) !== undefined,
    }
  },

  endPlainSession(work, { clientId }) {
    endPlainSession(work, clientId)
    return NO_STEP
  },

  keepPlainReceipt(work, { clientId, packetId, packet }) {
    keepReceipt(work, clientId, packetId, packet)
  },

  findPlainReceipt(work, { clientId, packetId }) {
    const session = findPlainSession(work, clientId)
    if (session === undefined) return null
    const row = work.db
      .prepare('select packet from plain_receipt where session = ? and packet_id = ?')
      .get(session, packetId) as { packet: string } | undefined
    return row?.packet ?? null
  },

  dropPlainReceipt(work, { clientId, packetId }) {
    const session = findPlainSession(work, clientId)
    if (session === undefined) return false
    return (
      work.db.prepare('delete from plain_receipt where session = ? and packet_id = ?').run(session, packetId)
        .changes === 1
    )
  },

  pagePlainTopics(work, { after, entriesMax }) {
    const rows = work.db
      .prepare('select topic from plain_retained where topic > ? order by topic limit ?')
      .all(after ?? '', entriesMax) as { topic: string }[]
    return rows.map((row) => row.topic)
  },

  plainRetained(work, { topics }) {
    const statement = work.db.prepare(
      'select topic, payload, head, origin, expires_at from plain_retained where topic = ?',
    )
    return topics.flatMap((topic) => {
      const row = statement.get(topic) as RetainedRow | undefined
      if (row === undefined) return []
      const { expires_at: expiresAt, ...message } = row
      return [{ ...message, expiresAt }]
    })
  },

  keepPlainWill(work, { clientId, will }) {
    work.db
      .prepare(
        `insert into plain_will (client_id, will, publish_at) values (?, ?, null)
         on conflict (client_id) do update set will = excluded.will, publish_at = null`,
      )
      .run(clientId, will)
  },

  delayPlainWill(work, { clientId, will, publishAt }) {
    work.db
      .prepare('update plain_will set publish_at = ? where client_id = ? and will = ?')
      .run(publishAt, clientId, will)
  },

  findPlainWill(work, clientId) {
    const row = work.db
      .prepare('select client_id, will, publish_at from plain_will where client_id = ?')
      .get(clientId) as WillRow | undefined
    return row === undefined ? null : readWill(row)
  },

  dropPlainWill(work, { clientId, will }) {
    work.db
      .prepare('delete from plain_will where client_id = ? and will = coalesce(?, will)')
      .run(clientId, will)
  },

  pagePlainWills(work, { after, entriesMax }) {
    const rows = work.db
      .prepare(
        'select client_id, will, publish_at from plain_will where client_id > ? order by client_id limit ?',
      )
      .all(after, entriesMax) as WillRow[]
    return rows.map(readWill)
  },

  // One process: its engine reads all wills when it starts, and keeps the time of those that wait.
  plainWillHolders() {
    return []
  },

  releasePlainWills() {},

  duePlainWills() {
    return []
  },
}

/** The packet ids of what was sent: it lies before what was not. */
function sentIds(work: Work, session: number): number[] {
  const rows = work.db
    .prepare('select packet_id from plain_queue where session = ? order by message')
    .iterate(session) as IterableIterator<{ packet_id: number | null }>
  const ids: number[] = []
  for (const row of rows) {
    if (row.packet_id === null) break
    ids.push(row.packet_id)
  }
  return ids
}

// ---------------------------------------------------------------- publishing

function publish(
  work: Work,
  { message, retained, targets, receipt, will }: PlainPublication,
  queuedMax: number,
): PlainOutcome {
  if (will !== null && !takeWill(work, will)) return { taken: false, message: 0, refused: [], unsent: [] }
  if (receipt !== null) keepReceipt(work, receipt.clientId, receipt.packetId, '')
  if (retained === 'keep') keepRetained(work, message)
  else if (retained === 'clear') dropRetained(work, message.topic)
  return { taken: true, ...enqueue(work, message, targets, queuedMax), unsent: [] }
}

function takeWill(work: Work, { clientId, will }: { clientId: string; will: string }): boolean {
  return (
    work.db.prepare('delete from plain_will where client_id = ? and will = ?').run(clientId, will).changes ===
    1
  )
}

function enqueue(work: Work, message: PlainMessage, targets: readonly PlainTarget[], queuedMax: number) {
  const refused: { clientId: string; reason: 'unknown' | 'full' }[] = []
  const sessions: { session: number; target: PlainTarget }[] = []
  const admit = work.db.prepare(
    'update plain_session set queued = queued + 1 where client_id = ? and queued < ? returning n',
  )
  for (const target of targets) {
    const row = admit.get(target.clientId, queuedMax) as { n: number } | undefined
    if (row !== undefined) sessions.push({ session: row.n, target })
    else {
      const reason = hasPlainSession(work, target.clientId) ? 'full' : 'unknown'
      refused.push({ clientId: target.clientId, reason })
    }
  }
  if (sessions.length === 0) return { message: 0, refused }
  const n = keepMessage(work, message, sessions.length)
  const refer = work.db.prepare(
    `insert into plain_queue (session, message, qos, retain, identifiers, packet_id, state)
     values (?, ?, ?, ?, ?, ?, ?)`,
  )
  for (const { session, target } of sessions) {
    const { qos, retain, identifiers, packetId } = target
    refer.run(
      session,
      n,
      qos,
      retain ? 1 : 0,
      JSON.stringify(identifiers),
      packetId,
      packetId === null ? 0 : 1,
    )
  }
  return { message: n, refused }
}

function keepMessage(
  work: Work,
  { topic, payload, head, origin, expiresAt }: PlainMessage,
  refs: number,
): number {
  const { lastInsertRowid } = work.db
    .prepare(
      'insert into plain_message (topic, payload, head, origin, expires_at, refs) values (?, ?, ?, ?, ?, ?)',
    )
    .run(topic, payload, head, origin, expiresAt, refs)
  return Number(lastInsertRowid)
}

function keepRetained(work: Work, { topic, payload, head, origin, expiresAt }: PlainMessage): void {
  work.db
    .prepare(
      `insert into plain_retained (topic, payload, head, origin, expires_at) values (?, ?, ?, ?, ?)
       on conflict (topic) do update set payload = excluded.payload, head = excluded.head,
         origin = excluded.origin, expires_at = excluded.expires_at`,
    )
    .run(topic, payload, head, origin, expiresAt)
}

function dropRetained(work: Work, topic: string): void {
  work.db.prepare('delete from plain_retained where topic = ?').run(topic)
}

function keepReceipt(work: Work, clientId: string, packetId: number, packet: string): void {
  work.db
    .prepare(
      `insert into plain_receipt (session, packet_id, packet) values (?, ?, ?)
       on conflict (session, packet_id) do update set packet = excluded.packet`,
    )
    .run(ensurePlainSession(work, clientId), packetId, packet)
}

// ---------------------------------------------------------------- rows

function keepSubscription(work: Work, session: number, subscription: PlainSubscription): void {
  const { filter, qos, rh, rap, nl, identifier } = subscription
  work.db
    .prepare(
      `insert into plain_subscription (session, filter, qos, rh, rap, nl, identifier) values (?, ?, ?, ?, ?, ?, ?)
       on conflict (session, filter) do update set qos = excluded.qos, rh = excluded.rh, rap = excluded.rap,
         nl = excluded.nl, identifier = excluded.identifier`,
    )
    .run(session, filter, qos, rh ?? null, writeFlag(rap), writeFlag(nl), identifier ?? null)
}

function readSubscription(row: SubscriptionRow): PlainSubscription {
  return {
    filter: row.filter,
    qos: row.qos,
    rh: row.rh ?? undefined,
    rap: readFlag(row.rap),
    nl: readFlag(row.nl),
    identifier: row.identifier ?? undefined,
  }
}

function writeFlag(flag: boolean | undefined): number | null {
  return flag === undefined ? null : flag ? 1 : 0
}

function readFlag(flag: number | null): boolean | undefined {
  return flag === null ? undefined : flag === 1
}

function readWill({ client_id, will, publish_at }: WillRow): PlainWill {
  return { clientId: client_id, will, publishAt: publish_at }
}
