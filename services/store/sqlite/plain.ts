/** Plain MQTT in SQLite. Statements are written out: most of them run once per message. */
import {
  NO_STEP,
  type PlainMessage,
  type PlainOutcome,
  type PlainPublication,
  type PlainRefusal,
  type PlainStore,
  type PlainSubscription,
  type PlainTarget,
  type PlainWill,
} from '../plain.ts'
import type { Operations } from './operations.ts'
import { plainNodesOf } from './plain-nodes.ts'
import { plainQueueOperations } from './plain-queue.ts'
import {
  endPlainSession,
  ensurePlainSession,
  findPlainSession,
  hasPlainSession,
  holdPlainSession,
} from './plain-session.ts'
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

  publishPlain(work, { publications, known, queuedMax }) {
    const nodes = plainNodesOf(work.db)
    if (known !== null && known !== nodes.version) return { stale: true }
    const from = nodes.version
    const outcomes = publications.map((publication) => publish(work, publication, queuedMax))
    const { version: to } = nodes
    return { stale: false, outcomes, step: to > from ? { from, to } : null }
  },

  plainVersion(work) {
    return plainNodesOf(work.db).version
  },

  // All at once: there are not more than are kept in memory.
  plainChanges(work, { since }) {
    const nodes = plainNodesOf(work.db)
    const changes = nodes.since(since)
    const names = (kind: string) => [
      ...new Set((changes ?? []).filter((change) => change.kind === kind).map(({ name }) => name)),
    ]
    return {
      tooOld: changes === null,
      changes: {
        sessions: names('session').map((clientId) => readSession(work, clientId)),
        topics: names('topic').map((topic) => ({ topic, isRetained: isRetained(work, topic) })),
      },
      version: nodes.version,
      isLast: true,
    }
  },

  subscribePlain(work, { clientId, generation, subscriptions }) {
    const held = holdPlainSession(work, clientId, generation)
    if (held === undefined && generation !== null) return null
    const session = held ?? ensurePlainSession(work, clientId)
    for (const subscription of subscriptions) keepSubscription(work, session, subscription)
    return plainNodesOf(work.db).note({ kind: 'session', name: clientId })
  },

  unsubscribePlain(work, { clientId, generation, filters }) {
    const session = holdPlainSession(work, clientId, generation)
    if (session === undefined) return generation === null ? NO_STEP : null
    const statement = work.db.prepare('delete from plain_subscription where session = ? and filter = ?')
    for (const filter of filters) statement.run(session, filter)
    return plainNodesOf(work.db).note({ kind: 'session', name: clientId })
  },

  pagePlainSessions(work, { after, entriesMax }) {
    const sessions = work.db
      .prepare('select n, client_id from plain_session where client_id > ? order by client_id limit ?')
      .all(after, entriesMax) as { n: number; client_id: string }[]
    return sessions.map(({ n, client_id: clientId }) => ({
      clientId,
      subscriptions: subscriptionsOf(work, n),
    }))
  },

  resumePlain(work, { clientId, persistent }) {
    const session = persistent ? ensurePlainSession(work, clientId) : findPlainSession(work, clientId)
    if (session === undefined) return { generation: null, receipts: [], packetIds: [], waiting: false }
    const receipts = work.db
      .prepare('select packet_id from plain_receipt where session = ? order by packet_id')
      .all(session) as { packet_id: number }[]
    return {
      generation: plainNodesOf(work.db).resume(session),
      receipts: receipts.map((row) => row.packet_id),
      packetIds: sentIds(work, session),
      waiting: work.db.prepare('select 1 from plain_queue where session = ?').get(session) !== undefined,
    }
  },

  endPlainSession(work, { clientId, generation }) {
    const nodes = plainNodesOf(work.db)
    const from = nodes.version
    const isHeld = generation === null || holdPlainSession(work, clientId, generation) !== undefined
    if (isHeld) endPlainSession(work, clientId)
    return { from, to: nodes.version }
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

  dropPlainReceipt(work, { clientId, generation, packetId }) {
    const session = holdPlainSession(work, clientId, generation)
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

  keepPlainWill(work, { clientId, will, delayMs, holder }) {
    work.db
      .prepare(
        `insert into plain_will (client_id, will, publish_at, delay_ms, holder) values (?, ?, null, ?, ?)
         on conflict (client_id) do update set will = excluded.will, publish_at = null,
           delay_ms = excluded.delay_ms, holder = excluded.holder`,
      )
      .run(clientId, will, delayMs, holder)
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

  plainWillHolders(work) {
    const rows = work.db.prepare('select distinct holder from plain_will where publish_at is null').all() as {
      holder: string
    }[]
    return rows.map(({ holder }) => holder)
  },

  releasePlainWills(work, { holder }) {
    work.db
      .prepare('update plain_will set publish_at = ? + delay_ms where holder = ? and publish_at is null')
      .run(work.now, holder)
  },

  duePlainWills(work, { overdueMs, entriesMax }) {
    const rows = work.db
      .prepare(
        'select client_id, will, publish_at from plain_will where publish_at <= ? order by publish_at limit ?',
      )
      .all(work.now - overdueMs, entriesMax) as WillRow[]
    return rows.map(readWill)
  },
}

function readSession(work: Work, clientId: string) {
  const session = findPlainSession(work, clientId)
  return { clientId, subscriptions: session === undefined ? null : subscriptionsOf(work, session) }
}

function subscriptionsOf(work: Work, session: number): PlainSubscription[] {
  const rows = work.db
    .prepare(
      'select filter, qos, rh, rap, nl, identifier from plain_subscription where session = ? order by filter',
    )
    .all(session) as SubscriptionRow[]
  return rows.map(readSubscription)
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
  if (will !== null && !takeWill(work, will)) return NOT_TAKEN
  if (receipt !== null) {
    const { clientId, generation, packetId } = receipt
    if (generation !== null && holdPlainSession(work, clientId, generation) === undefined) return NOT_TAKEN
    keepReceipt(work, clientId, packetId, '')
  }
  if (retained === 'keep') keepRetained(work, message)
  else if (retained === 'clear') dropRetained(work, message.topic)
  return { taken: true, ...enqueue(work, message, targets, queuedMax) }
}

const NOT_TAKEN: PlainOutcome = { taken: false, message: 0 }

function takeWill(work: Work, { clientId, will }: { clientId: string; will: string }): boolean {
  return (
    work.db.prepare('delete from plain_will where client_id = ? and will = ?').run(clientId, will).changes ===
    1
  )
}

function enqueue(work: Work, message: PlainMessage, targets: readonly PlainTarget[], queuedMax: number) {
  const refused: PlainRefusal[] = []
  const unsent: string[] = []
  const sessions: { session: number; target: PlainTarget }[] = []
  const admit = work.db.prepare(
    'update plain_session set queued = queued + 1 where client_id = ? and queued < ? returning n',
  )
  for (const target of targets) {
    const row = admit.get(target.clientId, queuedMax) as { n: number } | undefined
    if (row !== undefined) {
      const mayBeSent = target.packetId === null || maySend(work, row.n, target.generation)
      if (!mayBeSent) unsent.push(target.clientId)
      sessions.push({ session: row.n, target: mayBeSent ? target : { ...target, packetId: null } })
    } else {
      const reason = hasPlainSession(work, target.clientId) ? 'full' : 'unknown'
      refused.push({ clientId: target.clientId, reason })
    }
  }
  const exceptions = {
    ...(refused.length > 0 && { refused }),
    ...(unsent.length > 0 && { unsent }),
  }
  if (sessions.length === 0) return { message: 0, ...exceptions }
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
  return { message: n, ...exceptions }
}

/** Only by the newest connection, and only if nothing waits before: what was sent lies before what was not. */
function maySend(work: Work, session: number, generation: number | null): boolean {
  if (generation === null) return true
  if (!plainNodesOf(work.db).holds(session, generation)) return false
  const last = work.db
    .prepare('select packet_id from plain_queue where session = ? order by message desc limit 1')
    .get(session) as { packet_id: number | null } | undefined
  return last === undefined || last.packet_id !== null
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
  const { changes } = work.db
    .prepare(`update plain_retained set payload = ?, head = ?, origin = ?, expires_at = ? where topic = ?`)
    .run(payload, head, origin, expiresAt, topic)
  if (changes === 1) return
  work.db
    .prepare('insert into plain_retained (topic, payload, head, origin, expires_at) values (?, ?, ?, ?, ?)')
    .run(topic, payload, head, origin, expiresAt)
  plainNodesOf(work.db).note({ kind: 'topic', name: topic })
}

function dropRetained(work: Work, topic: string): void {
  const { changes } = work.db.prepare('delete from plain_retained where topic = ?').run(topic)
  if (changes === 1) plainNodesOf(work.db).note({ kind: 'topic', name: topic })
}

function isRetained(work: Work, topic: string): boolean {
  return work.db.prepare('select 1 from plain_retained where topic = ?').get(topic) !== undefined
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
