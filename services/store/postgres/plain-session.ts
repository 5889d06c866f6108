/** The plain side of MQTT sessions in PostgreSQL, for the calls of both sides. */
import type { PlainStep } from '../plain.ts'
import { noteChanges, sessionChange } from './plain-versions.ts'
import type { Work } from './work.ts'

export type HeldSession = {
  n: number
  client_id: string
  generation: number
  queued: number
  waiting: number
}

const NOTHING_CHANGED: PlainStep = { from: 0, to: 0 }

/** Whether subscriptions, waiting messages or half-open QoS 2 are stored for a client. */
export async function hasPlainSession(work: Work, clientId: string): Promise<boolean> {
  const rows = await work.query('select from plain_session where client_id = $1', [clientId])
  return rows.length > 0
}

/**
 * Ends the plain side of a session, within the commit that ends the session; null for a generation that is not the
 * newest. The delay of a will is over: it is published by the next node that looks. Locks the version last, so that
 * nothing else of plain MQTT may follow in the transaction but the end of another session.
 */
export async function endPlainSession(
  work: Work,
  clientId: string,
  generation: number | null = null,
): Promise<PlainStep | null> {
  const [session] = await holdSessions(work, [clientId])
  if (session !== undefined && generation !== null && session.generation !== generation) return null
  await work.query('update plain_will set publish_at = $2 where client_id = $1 and publish_at > $2', [
    clientId,
    work.now,
  ])
  if (session === undefined) return NOTHING_CHANGED
  await dropHeld(work, session)
  return noteChanges(work, [sessionChange(clientId)])
}

/** Ends the plain side of sessions, whoever holds them, and notes no change: that is the caller's to do, last of all. */
export async function dropPlainSessions(work: Work, clientIds: readonly string[]): Promise<void> {
  for (const session of await holdSessions(work, clientIds)) await dropHeld(work, session)
}

async function dropHeld(work: Work, { n, queued }: HeldSession): Promise<void> {
  if (queued > 0) await dropQueue(work, n)
  await work.query('delete from plain_receipt where session = $1', [n])
  await work.query('delete from plain_subscription where session = $1', [n])
  await work.query('delete from plain_session where n = $1', [n])
}

/** A device comes back to its session within the delay of its will: that will is not published [MQTT-3.1.3-9]. */
export async function cancelDelayedWill(work: Work, clientId: string): Promise<void> {
  await work.query('delete from plain_will where client_id = $1 and publish_at is not null', [clientId])
}

async function dropQueue(work: Work, session: number): Promise<void> {
  // Rows of messages are locked in their order, here and wherever messages are settled.
  const messages = await work.query<{ n: number }>(
    `select n from plain_message where n in (select message from plain_queue where session = $1)
     order by n for update`,
    [session],
  )
  const numbers = messages.map(({ n }) => n)
  await work.query('delete from plain_message where n = any($1) and refs <= 1', [numbers])
  await work.query('update plain_message set refs = refs - 1 where n = any($1)', [numbers])
  await work.query('delete from plain_queue where session = $1', [session])
}

/** Locks sessions, in one order for all callers. One that is not there is left out. */
export function holdSessions(work: Work, clientIds: readonly string[]): Promise<HeldSession[]> {
  return work.query<HeldSession>(
    `select n, client_id, generation, queued, waiting from plain_session where client_id = any($1)
     order by client_id for update`,
    [clientIds],
  )
}

/** The session of a client, locked; undefined when there is none, or a newer connection has it. */
export async function holdSession(
  work: Work,
  clientId: string,
  generation: number | null,
): Promise<HeldSession | undefined> {
  const [session] = await holdSessions(work, [clientId])
  if (session === undefined) return undefined
  return generation === null || session.generation === generation ? session : undefined
}

/** The session of a client under a new generation, made if it is new. */
export async function takeSession(work: Work, clientId: string): Promise<HeldSession> {
  const [session] = await work.query<HeldSession>(
    `insert into plain_session (client_id, generation) values ($1, nextval('plain_generation'))
     on conflict (client_id) do update set generation = excluded.generation
     returning n, client_id, generation, queued, waiting`,
    [clientId],
  )
  return session!
}
