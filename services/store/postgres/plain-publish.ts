/**
 * Messages of plain MQTT on their way into queues and retained topics: those of a moment in one transaction.
 *
 * Locks are taken in one order: sessions by client id, wills, retained topics by hash, the version.
 */
import type { PlainMessage, PlainOutcome, PlainPublication, PlainStore } from '../plain.ts'
import { payloadBytes, textHash } from './plain-rows.ts'
import type { HeldSession } from './plain-session.ts'
import { noteChanges, type PlainChange, topicChange } from './plain-versions.ts'
import type { Operations, Work } from './work.ts'

/** A message, and the sessions that take it. */
type Queued = {
  message: PlainMessage
  outcome: PlainOutcome
  rows: {
    session: number
    qos: number
    retain: boolean
    identifiers: readonly number[]
    packetId: number | null
  }[]
}

export const plainPublishOperations: Operations<Pick<PlainStore, 'publishPlain'>> = {
  async publishPlain(work, { publications, known, queuedMax }) {
    const { version, sessions } = await holdAll(work, publications)
    if (known !== null && version !== known) return { stale: true }
    const wills = await takeWills(work, publications)
    const queued: Queued[] = []
    const taken: PlainPublication[] = []
    const outcomes = publications.map((publication) => {
      const outcome: PlainOutcome = { taken: true, message: 0 }
      outcome.taken = isWillThere(publication, wills) && isReceiptOurs(publication, sessions)
      if (!outcome.taken) return outcome
      taken.push(publication)
      const rows = admit(publication, outcome, sessions, queuedMax)
      if (rows.length > 0) queued.push({ message: publication.message, outcome, rows })
      return outcome
    })
    await keepReceipts(work, taken, sessions)
    await enqueue(work, queued, sessions)
    const changes = await retain(work, taken)
    const step = changes.length > 0 ? await noteChanges(work, changes) : null
    return { stale: false, outcomes, step }
  },
}

/** Locks the sessions that are concerned. The version is at least that of every answer given before this began. */
async function holdAll(
  work: Work,
  publications: readonly PlainPublication[],
): Promise<{ version: number; sessions: Map<string, HeldSession> }> {
  const clientIds = new Set<string>()
  for (const { targets, receipt } of publications) {
    for (const { clientId } of targets) clientIds.add(clientId)
    if (receipt !== null) clientIds.add(receipt.clientId)
  }
  const [row] = await work.query<{ version: number; sessions: HeldSession[] }>(
    `with held as materialized (
       select n, client_id, generation, queued, waiting from plain_session where client_id = any($1)
       order by client_id for update
     )
     select (select version from plain_version) as version,
       (select coalesce(json_agg(held), '[]') from held) as sessions`,
    [[...clientIds]],
  )
  const { version, sessions } = row!
  return { version, sessions: new Map(sessions.map((session) => [session.client_id, session])) }
}

// ---------------------------------------------------------------- wills and receipts

/** The wills of these publications that were still there, each by its text; they are gone now. */
async function takeWills(work: Work, publications: readonly PlainPublication[]): Promise<Set<string>> {
  const wills = publications.flatMap(({ will }) => (will === null ? [] : [will]))
  if (wills.length === 0) return new Set()
  const rows = await work.query<{ will: string }>(
    `delete from plain_will using unnest($1::text[], $2::text[]) as due(client_id, will)
     where plain_will.client_id = due.client_id and plain_will.will = due.will returning plain_will.will`,
    [wills.map(({ clientId }) => clientId), wills.map(({ will }) => will)],
  )
  return new Set(rows.map(({ will }) => will))
}

function isWillThere({ will }: PlainPublication, taken: ReadonlySet<string>): boolean {
  return will === null || taken.has(will.will)
}

function isReceiptOurs({ receipt }: PlainPublication, sessions: ReadonlyMap<string, HeldSession>): boolean {
  if (receipt === null) return true
  const session = sessions.get(receipt.clientId)
  return session !== undefined && (receipt.generation === null || receipt.generation === session.generation)
}

async function keepReceipts(
  work: Work,
  publications: readonly PlainPublication[],
  sessions: ReadonlyMap<string, HeldSession>,
): Promise<void> {
  const receipts = publications.flatMap(({ receipt }) =>
    receipt === null ? [] : [{ session: sessions.get(receipt.clientId)!.n, packetId: receipt.packetId }],
  )
  if (receipts.length === 0) return
  await work.query(
    `insert into plain_receipt (session, packet_id, packet)
     select session, packet_id, '' from unnest($1::int8[], $2::int4[]) as receipt(session, packet_id)
     on conflict do nothing`,
    [receipts.map(({ session }) => session), receipts.map(({ packetId }) => packetId)],
  )
}

// ---------------------------------------------------------------- queues

/** Which targets take a message, and whether each may be sent it at once: only if nothing waits before it. */
function admit(
  { targets }: PlainPublication,
  outcome: PlainOutcome,
  sessions: ReadonlyMap<string, HeldSession>,
  queuedMax: number,
): Queued['rows'] {
  const rows: Queued['rows'] = []
  for (const { clientId, qos, retain, identifiers, packetId, generation } of targets) {
    const session = sessions.get(clientId)
    if (session === undefined || session.queued >= queuedMax) {
      outcome.refused ??= []
      outcome.refused.push({ clientId, reason: session === undefined ? 'unknown' : 'full' })
      continue
    }
    const isHolder = generation === null || generation === session.generation
    const isSent = packetId !== null && isHolder && session.waiting === 0
    session.queued++
    if (!isSent) session.waiting++
    if (packetId !== null && !isSent) {
      outcome.unsent ??= []
      outcome.unsent.push(clientId)
    }
    rows.push({ session: session.n, qos, retain, identifiers, packetId: isSent ? packetId : null })
  }
  return rows
}

async function enqueue(
  work: Work,
  queued: readonly Queued[],
  sessions: ReadonlyMap<string, HeldSession>,
): Promise<void> {
  if (queued.length === 0) return
  // Only now that the sessions are locked: a number that a reader of a queue has passed is never used after it.
  const numbers = await work.query<{ n: number }>(
    `select nextval('plain_number') as n from generate_series(1, $1)`,
    [queued.length],
  )
  queued.forEach(({ outcome }, i) => {
    outcome.message = numbers[i]!.n
  })
  const rows = queued.flatMap(({ outcome, rows }) =>
    rows.map((row) => ({ ...row, message: outcome.message })),
  )
  const changed = [...sessions.values()]
  await work.query(
    `with stored as (
       insert into plain_message (n, topic, payload, is_text, head, origin, expires_at, refs)
       select * from unnest($1::int8[], $2::text[], $3::bytea[], $4::bool[], $5::text[], $6::text[], $7::int8[], $8::int4[])
     ), referred as (
       insert into plain_queue (session, message, qos, retain, identifiers, packet_id, state)
       select session, message, qos, retain, identifiers, packet_id, case when packet_id is null then 0 else 1 end
       from unnest($9::int8[], $10::int8[], $11::int2[], $12::bool[], $13::text[], $14::int4[])
         as row(session, message, qos, retain, identifiers, packet_id)
     )
     update plain_session set queued = now.queued, waiting = now.waiting
     from unnest($15::int8[], $16::int4[], $17::int4[]) as now(n, queued, waiting) where plain_session.n = now.n`,
    [
      queued.map(({ outcome }) => outcome.message),
      queued.map(({ message }) => message.topic),
      queued.map(({ message }) => payloadBytes(message.payload)),
      queued.map(({ message }) => typeof message.payload === 'string'),
      queued.map(({ message }) => message.head),
      queued.map(({ message }) => message.origin),
      queued.map(({ message }) => message.expiresAt),
      queued.map(({ rows }) => rows.length),
      rows.map(({ session }) => session),
      rows.map(({ message }) => message),
      rows.map(({ qos }) => qos),
      rows.map(({ retain }) => retain),
      rows.map(({ identifiers }) => JSON.stringify(identifiers)),
      rows.map(({ packetId }) => packetId),
      changed.map(({ n }) => n),
      changed.map(({ queued }) => queued),
      changed.map(({ waiting }) => waiting),
    ],
  )
}

// ---------------------------------------------------------------- retained messages

/** The last of each topic stays. Answers which topics have a retained message now that had none, or the reverse. */
async function retain(work: Work, publications: readonly PlainPublication[]): Promise<PlainChange[]> {
  const last = new Map<string, PlainPublication>()
  for (const publication of publications) {
    if (publication.retained !== null) last.set(publication.message.topic, publication)
  }
  const byHash = [...last.values()]
    .map((publication) => ({ ...publication, hash: textHash(publication.message.topic) }))
    .sort((a, b) => Buffer.compare(a.hash, b.hash))
  const changes: PlainChange[] = []
  for (const { hash, message, retained } of byHash) {
    const isChange =
      retained === 'keep' ? await keepRetained(work, hash, message) : await dropRetained(work, hash)
    if (isChange) changes.push(topicChange(message.topic))
  }
  return changes
}

async function keepRetained(work: Work, hash: Buffer, message: PlainMessage): Promise<boolean> {
  const { topic, payload, head, origin, expiresAt } = message
  // xmax is 0 in a row that this statement inserted.
  const [row] = await work.query<{ is_new: boolean }>(
    `insert into plain_retained (topic_hash, topic, payload, is_text, head, origin, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (topic_hash) do update set payload = excluded.payload, is_text = excluded.is_text,
       head = excluded.head, origin = excluded.origin, expires_at = excluded.expires_at
     returning xmax = 0 as is_new`,
    [hash, topic, payloadBytes(payload), typeof payload === 'string', head, origin, expiresAt],
  )
  return row!.is_new
}

async function dropRetained(work: Work, hash: Buffer): Promise<boolean> {
  const rows = await work.query('delete from plain_retained where topic_hash = $1 returning 1', [hash])
  return rows.length > 0
}
