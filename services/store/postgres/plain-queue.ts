/** What waits for a session of plain MQTT: handed out in order, and settled when the client has it. */
import type { PlainDelivery, PlainStore } from '../plain.ts'
import { type MessageRow, readMessage } from './plain-rows.ts'
import { holdSession, holdSessions } from './plain-session.ts'
import type { Operations, Work } from './work.ts'

const STATES = ['queued', 'sent', 'released'] as const
const QUEUED = 0
const SENT = 1
const RELEASED = 2

type QueueRow = MessageRow & {
  message: number
  qos: 0 | 1 | 2
  retain: boolean
  identifiers: string
  packet_id: number | null
  state: number
}

const COLUMNS = `message, q.qos, q.retain, q.identifiers, q.packet_id, q.state,
  m.topic, m.payload, m.is_text, m.head, m.origin, m.expires_at`

type PlainQueueCalls = Pick<
  PlainStore,
  'takePlain' | 'markPlainSent' | 'releasePlain' | 'findPlainSent' | 'settlePlain'
>

export const plainQueueOperations: Operations<PlainQueueCalls> = {
  async takePlain(work, { clientId, generation, after, packetIds, entriesMax, bytesMax }) {
    const session = await holdSession(work, clientId, generation)
    if (session === undefined) return { deliveries: [], full: false, isHeld: generation === null }
    const { rows, full } = await readWaiting(work, session.n, after, entriesMax, bytesMax)
    if (packetIds !== null) await giveIds(work, session.n, rows, packetIds)
    return { deliveries: rows.map(readDelivery), full, isHeld: true }
  },

  async markPlainSent(work, { clientId, origin, packetId }) {
    const session = await holdSession(work, clientId, null)
    if (session === undefined) return false
    // Without an index: our own delivery names messages by number, only a foreign caller of the engine's interface does not.
    const [row] = await work.query<{ message: number; state: number }>(
      `select message, state from plain_queue join plain_message on n = message
       where session = $1 and origin = $2 order by message limit 1`,
      [session.n, origin],
    )
    if (row === undefined) return false
    await markSent(work, session.n, [{ message: row.message, packetId, wasQueued: row.state === QUEUED }])
    return true
  },

  async releasePlain(work, { clientId, generation, packetId }) {
    const session = await holdSession(work, clientId, generation)
    if (session === undefined) return false
    const rows = await work.query(
      `update plain_queue set state = $3 where session = $1 and message = (
         select message from plain_queue where session = $1 and packet_id = $2 order by message limit 1
       ) returning 1`,
      [session.n, packetId, RELEASED],
    )
    return rows.length > 0
  },

  async findPlainSent(work, { clientId, packetId }) {
    const [row] = await work.query<QueueRow>(
      `select ${COLUMNS} from plain_session s join plain_queue q on q.session = s.n
         join plain_message m on m.n = q.message
       where s.client_id = $1 and q.packet_id = $2 order by message limit 1`,
      [clientId, packetId],
    )
    return row === undefined ? null : readDelivery(row)
  },

  async settlePlain(work, settled) {
    const sessions = await holdSessions(work, [...new Set(settled.map(({ clientId }) => clientId))])
    const byClient = new Map(sessions.map((session) => [session.client_id, session]))
    const rows = settled.flatMap(({ clientId, generation, message }) => {
      const session = byClient.get(clientId)
      if (session === undefined || (generation !== null && session.generation !== generation)) return []
      return [{ session: session.n, message }]
    })
    await settle(work, rows)
  },
}

/** In order, as many as a page takes; what has expired before it was ever sent is settled instead. */
async function readWaiting(
  work: Work,
  session: number,
  after: number,
  entriesMax: number,
  bytesMax: number,
): Promise<{ rows: QueueRow[]; full: boolean }> {
  const rows: QueueRow[] = []
  for (let from = after; ; ) {
    const limit = entriesMax - rows.length
    const bytesLeft = bytesMax - bytesOf(rows)
    const page = await readPage(work, session, from, limit, bytesLeft)
    const last = page.at(-1)
    if (last === undefined) return { rows, full: false }
    if (rows.length > 0 && page[0]!.payload.length > bytesLeft) return { rows, full: true }
    const expired = page.filter((row) => isExpired(row, work.now))
    await settle(
      work,
      expired.map(({ message }) => ({ session, message })),
    )
    rows.push(...page.filter((row) => !expired.includes(row)))
    if (rows.length === entriesMax) return { rows, full: false }
    if (expired.length === 0) return { rows, full: page.length < last.found }
    if (page.length === last.found && last.found < limit) return { rows, full: false }
    from = last.message
  }
}

function isExpired({ state, expires_at: expiresAt }: QueueRow, now: number): boolean {
  return state === QUEUED && expiresAt !== null && expiresAt <= now
}

function bytesOf(rows: readonly QueueRow[]): number {
  return rows.reduce((sum, { payload }) => sum + payload.length, 0)
}

/** `found`: rows before those that are too much by size were left out. One is always given. */
function readPage(
  work: Work,
  session: number,
  after: number,
  limit: number,
  bytesMax: number,
): Promise<(QueueRow & { found: number })[]> {
  return work.query(
    `select * from (
       select ${COLUMNS}, count(*) over ()::int4 as found, row_number() over (order by message) as place,
         sum(octet_length(m.payload)) over (order by message) as bytes
       from (
         select * from plain_queue where session = $1 and message > $2 order by message limit $3
       ) q join plain_message m on m.n = q.message
     ) page
     where bytes <= $4 or place = 1 order by message`,
    [session, after, limit, bytesMax],
  )
}

async function giveIds(
  work: Work,
  session: number,
  rows: readonly QueueRow[],
  packetIds: readonly number[],
): Promise<void> {
  const given: Sent[] = []
  for (const row of rows) {
    if (row.packet_id !== null) continue
    const packetId = packetIds[given.length]
    if (packetId === undefined) throw new Error('fewer packet ids than messages')
    row.packet_id = packetId
    given.push({ message: row.message, packetId, wasQueued: row.state === QUEUED })
  }
  await markSent(work, session, given)
}

type Sent = { message: number; packetId: number; wasQueued: boolean }

async function markSent(work: Work, session: number, sent: readonly Sent[]): Promise<void> {
  if (sent.length === 0) return
  await work.query(
    `update plain_queue set packet_id = sent.packet_id, state = $4
     from unnest($2::int8[], $3::int4[]) as sent(message, packet_id)
     where plain_queue.session = $1 and plain_queue.message = sent.message`,
    [session, sent.map(({ message }) => message), sent.map(({ packetId }) => packetId), SENT],
  )
  await work.query('update plain_session set waiting = waiting - $2 where n = $1', [
    session,
    sent.filter(({ wasQueued }) => wasQueued).length,
  ])
}

/** Takes messages out of queues whose sessions are locked. */
async function settle(work: Work, rows: readonly { session: number; message: number }[]): Promise<void> {
  if (rows.length === 0) return
  const gone = await work.query<{ session: number; message: number; state: number }>(
    `delete from plain_queue q using unnest($1::int8[], $2::int8[]) as done(session, message)
     where q.session = done.session and q.message = done.message
     returning q.session, q.message, q.state`,
    [rows.map(({ session }) => session), rows.map(({ message }) => message)],
  )
  if (gone.length === 0) return
  const sessions = new Map<number, { queued: number; waiting: number }>()
  const refs = new Map<number, number>()
  for (const { session, message, state } of gone) {
    const count = sessions.get(session) ?? { queued: 0, waiting: 0 }
    count.queued++
    if (state === QUEUED) count.waiting++
    sessions.set(session, count)
    refs.set(message, (refs.get(message) ?? 0) + 1)
  }
  const counts = [...sessions.values()]
  await work.query(
    `update plain_session set queued = plain_session.queued - gone.queued,
       waiting = plain_session.waiting - gone.waiting
     from unnest($1::int8[], $2::int4[], $3::int4[]) as gone(n, queued, waiting) where plain_session.n = gone.n`,
    [[...sessions.keys()], counts.map(({ queued }) => queued), counts.map(({ waiting }) => waiting)],
  )
  // Other sessions settle the same messages: their rows are locked in order first.
  const messages = [...refs.keys()].sort((a, b) => a - b)
  const counted = messages.map((message) => refs.get(message)!)
  await work.query('select from plain_message where n = any($1) order by n for update', [messages])
  await work.query(
    `delete from plain_message using unnest($1::int8[], $2::int4[]) as gone(n, refs)
     where plain_message.n = gone.n and plain_message.refs <= gone.refs`,
    [messages, counted],
  )
  await work.query(
    `update plain_message set refs = plain_message.refs - gone.refs
     from unnest($1::int8[], $2::int4[]) as gone(n, refs) where plain_message.n = gone.n`,
    [messages, counted],
  )
}

function readDelivery(row: QueueRow): PlainDelivery {
  return {
    ...readMessage(row),
    message: row.message,
    state: STATES[row.state]!,
    packetId: row.packet_id,
    qos: row.qos,
    retain: row.retain,
    identifiers: JSON.parse(row.identifiers) as number[],
  }
}
