/** What waits for a session of plain MQTT: handed out in order, and settled when the client has it. */
import type { PlainDelivery, PlainStore } from '../plain.ts'
import type { Database } from './database.ts'
import type { Operations } from './operations.ts'
import { findPlainSession, holdPlainSession } from './plain-session.ts'

const STATES = ['queued', 'sent', 'released'] as const
const SENT = 1
const RELEASED = 2

type QueueRow = {
  message: number
  qos: 0 | 1 | 2
  retain: number
  identifiers: string
  packet_id: number | null
  state: number
  topic: string
  payload: Uint8Array | string
  head: string
  origin: string
  expires_at: number | null
}

const SELECT_WAITING = `select q.message, q.qos, q.retain, q.identifiers, q.packet_id, q.state,
    m.topic, m.payload, m.head, m.origin, m.expires_at
  from plain_queue q join plain_message m on m.n = q.message`

type PlainQueueCalls = Pick<
  PlainStore,
  'takePlain' | 'markPlainSent' | 'releasePlain' | 'findPlainSent' | 'settlePlain'
>

export const plainQueueOperations: Operations<PlainQueueCalls> = {
  takePlain(work, { clientId, generation, after, packetIds, entriesMax, bytesMax }) {
    const session = holdPlainSession(work, clientId, generation)
    if (session === undefined) return { deliveries: [], full: false, isHeld: generation === null }
    const { rows, expired, full } = readWaiting(work.db, session, after, entriesMax, bytesMax, work.now)
    settle(work.db, session, expired)
    if (packetIds !== null) giveIds(work.db, session, rows, packetIds)
    return { deliveries: rows.map(readDelivery), full, isHeld: true }
  },

  markPlainSent(work, { clientId, origin, packetId }) {
    const session = findPlainSession(work, clientId)
    if (session === undefined) return false
    // Without an index: our own delivery names messages by number, only a foreign caller of the engine's interface does not.
    const row = work.db
      .prepare(
        `select q.message from plain_queue q join plain_message m on m.n = q.message
         where q.session = ? and m.origin = ? order by q.message`,
      )
      .get(session, origin) as { message: number } | undefined
    if (row === undefined) return false
    markSent(work.db, session, row.message, packetId)
    return true
  },

  releasePlain(work, { clientId, generation, packetId }) {
    const session = holdPlainSession(work, clientId, generation)
    const message = session === undefined ? undefined : findSent(work.db, session, packetId)
    if (session === undefined || message === undefined) return false
    work.db
      .prepare('update plain_queue set state = ? where session = ? and message = ?')
      .run(RELEASED, session, message)
    return true
  },

  findPlainSent(work, { clientId, packetId }) {
    const session = findPlainSession(work, clientId)
    const message = session === undefined ? undefined : findSent(work.db, session, packetId)
    if (session === undefined || message === undefined) return null
    const row = work.db
      .prepare(`${SELECT_WAITING} where q.session = ? and q.message = ?`)
      .get(session, message) as QueueRow
    return readDelivery(row)
  },

  settlePlain(work, settled) {
    for (const { clientId, generation, message } of settled) {
      const session = holdPlainSession(work, clientId, generation)
      if (session !== undefined) settle(work.db, session, [message])
    }
  },
}

function readWaiting(
  db: Database,
  session: number,
  after: number,
  entriesMax: number,
  bytesMax: number,
  now: number,
) {
  const rows: QueueRow[] = []
  const expired: number[] = []
  let bytes = 0
  const found = db
    .prepare(`${SELECT_WAITING} where q.session = ? and q.message > ? order by q.message`)
    .iterate(session, after) as IterableIterator<QueueRow>
  for (const row of found) {
    if (row.state === 0 && row.expires_at !== null && row.expires_at <= now) {
      expired.push(row.message)
      continue
    }
    if (rows.length === entriesMax) break
    if (rows.length > 0 && bytes + row.payload.length > bytesMax) return { rows, expired, full: true }
    bytes += row.payload.length
    rows.push(row)
  }
  return { rows, expired, full: false }
}

function giveIds(db: Database, session: number, rows: QueueRow[], packetIds: readonly number[]): void {
  let next = 0
  for (const row of rows) {
    if (row.packet_id !== null) continue
    const packetId = packetIds[next++]
    if (packetId === undefined) throw new Error('fewer packet ids than messages')
    row.packet_id = packetId
    markSent(db, session, row.message, packetId)
  }
}

function markSent(db: Database, session: number, message: number, packetId: number): void {
  db.prepare('update plain_queue set packet_id = ?, state = ? where session = ? and message = ?').run(
    packetId,
    SENT,
    session,
    message,
  )
}

/** What was sent lies at the front of the queue, so this reads little. */
function findSent(db: Database, session: number, packetId: number): number | undefined {
  const row = db
    .prepare('select message from plain_queue where session = ? and packet_id = ? order by message limit 1')
    .get(session, packetId) as { message: number } | undefined
  return row?.message
}

function settle(db: Database, session: number, messages: readonly number[]): void {
  for (const message of messages) {
    const { changes } = db
      .prepare('delete from plain_queue where session = ? and message = ?')
      .run(session, message)
    if (changes === 0) continue
    db.prepare('update plain_session set queued = queued - 1 where n = ?').run(session)
    const left = db
      .prepare('update plain_message set refs = refs - 1 where n = ? returning refs')
      .get(message) as { refs: number }
    if (left.refs <= 0) db.prepare('delete from plain_message where n = ?').run(message)
  }
}

function readDelivery(row: QueueRow): PlainDelivery {
  return {
    message: row.message,
    state: STATES[row.state]!,
    packetId: row.packet_id,
    qos: row.qos,
    retain: row.retain === 1,
    identifiers: JSON.parse(row.identifiers) as number[],
    topic: row.topic,
    payload: row.payload,
    head: row.head,
    origin: row.origin,
    expiresAt: row.expires_at,
  }
}
