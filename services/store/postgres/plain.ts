/** Plain MQTT in PostgreSQL, for nodes that share it. */
import type { PlainStore, PlainSubscription, PlainWill } from '../plain.ts'
import { plainPublishOperations } from './plain-publish.ts'
import { plainQueueOperations } from './plain-queue.ts'
import { type MessageRow, readMessage, textHash } from './plain-rows.ts'
import { endPlainSession, type HeldSession, holdSession, holdSessions, takeSession } from './plain-session.ts'
import { noteChanges, plainVersionOperations, sessionChange } from './plain-versions.ts'
import type { Operations, Work } from './work.ts'

export { cancelDelayedWill, endPlainSession, hasPlainSession } from './plain-session.ts'

type WillRow = { client_id: string; will: string; publish_at: number | null }

export const plainOperations: Operations<PlainStore> = {
  ...plainPublishOperations,
  ...plainQueueOperations,
  ...plainVersionOperations,

  async subscribePlain(work, { clientId, generation, subscriptions }) {
    const session = await holdOrMake(work, clientId, generation)
    if (session === undefined) return null
    let isChange = false
    for (const subscription of subscriptions) {
      if (await keepSubscription(work, session.n, subscription)) isChange = true
    }
    return noteChanges(work, isChange ? [sessionChange(clientId)] : [])
  },

  async unsubscribePlain(work, { clientId, generation, filters }) {
    const session = await holdSession(work, clientId, generation)
    if (session === undefined) return generation === null ? noteChanges(work, []) : null
    const gone = await work.query(
      'delete from plain_subscription where session = $1 and filter_hash = any($2) returning 1',
      [session.n, filters.map(textHash)],
    )
    return noteChanges(work, gone.length > 0 ? [sessionChange(clientId)] : [])
  },

  async resumePlain(work, { clientId, persistent }) {
    const known = persistent ? undefined : (await holdSessions(work, [clientId]))[0]
    if (!persistent && known === undefined) {
      return { generation: null, receipts: [], packetIds: [], waiting: false }
    }
    const { n, generation, queued } = await takeSession(work, clientId)
    const receipts = await work.query<{ packet_id: number }>(
      'select packet_id from plain_receipt where session = $1 order by packet_id',
      [n],
    )
    const sent = await work.query<{ packet_id: number }>(
      'select packet_id from plain_queue where session = $1 and packet_id is not null order by message',
      [n],
    )
    return {
      generation,
      receipts: receipts.map((row) => row.packet_id),
      packetIds: sent.map((row) => row.packet_id),
      waiting: queued > 0,
    }
  },

  async endPlainSession(work, { clientId, generation }) {
    return (await endPlainSession(work, clientId, generation)) ?? { from: 0, to: 0 }
  },

  // -------------------------------------------------------------- QoS 2 from the client

  async keepPlainReceipt(work, { clientId, packetId, packet }) {
    const session = await holdOrMake(work, clientId, null)
    await work.query(
      `insert into plain_receipt (session, packet_id, packet) values ($1, $2, $3)
       on conflict (session, packet_id) do update set packet = excluded.packet`,
      [session!.n, packetId, packet],
    )
  },

  async findPlainReceipt(work, { clientId, packetId }) {
    const [row] = await work.query<{ packet: string }>(
      `select packet from plain_receipt join plain_session on n = session
       where client_id = $1 and packet_id = $2`,
      [clientId, packetId],
    )
    return row?.packet ?? null
  },

  async dropPlainReceipt(work, { clientId, generation, packetId }) {
    const session = await holdSession(work, clientId, generation)
    if (session === undefined) return false
    const rows = await work.query(
      'delete from plain_receipt where session = $1 and packet_id = $2 returning 1',
      [session.n, packetId],
    )
    return rows.length > 0
  },

  // -------------------------------------------------------------- retained messages

  /** By the hashes of the topics. */
  async pagePlainTopics(work, { after, entriesMax }) {
    const rows = await work.query<{ topic: string }>(
      'select topic from plain_retained where topic_hash > $1 order by topic_hash limit $2',
      [after === null ? Buffer.alloc(0) : textHash(after), entriesMax],
    )
    return rows.map((row) => row.topic)
  },

  async plainRetained(work, { topics }) {
    const rows = await work.query<MessageRow>(
      `select topic, payload, is_text, head, origin, expires_at from plain_retained
       where topic_hash = any($1::bytea[])`,
      [topics.map(textHash)],
    )
    const messages = new Map(rows.map((row) => [row.topic, readMessage(row)]))
    return topics.flatMap((topic) => messages.get(topic) ?? [])
  },

  // -------------------------------------------------------------- wills

  async keepPlainWill(work, { clientId, will, delayMs, holder }) {
    await work.query(
      `insert into plain_will (client_id, will, holder, delay_ms, publish_at) values ($1, $2, $3, $4, null)
       on conflict (client_id) do update set will = excluded.will, holder = excluded.holder,
         delay_ms = excluded.delay_ms, publish_at = null`,
      [clientId, will, holder, delayMs],
    )
  },

  async delayPlainWill(work, { clientId, will, publishAt }) {
    await work.query('update plain_will set publish_at = $3 where client_id = $1 and will = $2', [
      clientId,
      will,
      publishAt,
    ])
  },

  async findPlainWill(work, clientId) {
    const [row] = await work.query<WillRow>(
      'select client_id, will, publish_at from plain_will where client_id = $1',
      [clientId],
    )
    return row === undefined ? null : readWill(row)
  },

  async dropPlainWill(work, { clientId, will }) {
    await work.query('delete from plain_will where client_id = $1 and will = coalesce($2, will)', [
      clientId,
      will,
    ])
  },

  async pagePlainWills(work, { after, entriesMax }) {
    const rows = await work.query<WillRow>(
      'select client_id, will, publish_at from plain_will where client_id > $1 order by client_id limit $2',
      [after, entriesMax],
    )
    return rows.map(readWill)
  },

  async plainWillHolders(work) {
    const rows = await work.query<{ holder: string }>(
      'select distinct holder from plain_will where publish_at is null',
    )
    return rows.map(({ holder }) => holder)
  },

  async releasePlainWills(work, { holder }) {
    await work.query(
      'update plain_will set publish_at = $2 + delay_ms where holder = $1 and publish_at is null',
      [holder, work.now],
    )
  },

  async duePlainWills(work, { overdueMs, entriesMax }) {
    const rows = await work.query<WillRow>(
      `select client_id, will, publish_at from plain_will where publish_at <= $1
       order by publish_at limit $2`,
      [work.now - overdueMs, entriesMax],
    )
    return rows.map(readWill)
  },
}

/** Without a generation the session is made if it is new. */
async function holdOrMake(
  work: Work,
  clientId: string,
  generation: number | null,
): Promise<HeldSession | undefined> {
  const session = await holdSession(work, clientId, generation)
  return session ?? (generation === null ? takeSession(work, clientId) : undefined)
}

/** False when it was there already, as it usually is when a device comes back. */
async function keepSubscription(
  work: Work,
  session: number,
  { filter, qos, rh, rap, nl, identifier }: PlainSubscription,
): Promise<boolean> {
  const rows = await work.query(
    `insert into plain_subscription as s (session, filter_hash, filter, qos, rh, rap, nl, identifier)
     values ($1, $2, $3, $4, $5, $6, $7, $8)
     on conflict (session, filter_hash) do update set qos = excluded.qos, rh = excluded.rh, rap = excluded.rap,
       nl = excluded.nl, identifier = excluded.identifier
     where (s.qos, s.rh, s.rap, s.nl, s.identifier)
       is distinct from (excluded.qos, excluded.rh, excluded.rap, excluded.nl, excluded.identifier)
     returning 1`,
    [session, textHash(filter), filter, qos, rh ?? null, rap ?? null, nl ?? null, identifier ?? null],
  )
  return rows.length > 0
}

function readWill({ client_id: clientId, will, publish_at: publishAt }: WillRow): PlainWill {
  return { clientId, will, publishAt }
}
