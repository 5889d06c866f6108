/** The stored MQTT session of a device: who holds it, and its end. */
import type { ClientId } from '../../../protocol/ids.ts'
import { endPlainSession } from './plain-session.ts'
import type { Work } from './work.ts'

/** Whether this is still the session's newest connection; nobody takes it over until the end of the transaction. */
export async function holdsSession(work: Work, session: number, generation: number): Promise<boolean> {
  const rows = await work.query('select from session where n = $1 and generation = $2 for no key update', [
    session,
    generation,
  ])
  return rows.length > 0
}

/** Ends what a device left behind, if it left something: its session, its cursors and its plain side. */
export async function endDeviceSession(work: Work, clientId: ClientId): Promise<void> {
  const [session] = await work.query<{ n: number }>('select n from session where client_id = $1 for update', [
    clientId,
  ])
  if (session !== undefined) await dropSessions(work, [session.n])
  await endPlainSession(work, clientId)
}

/** Deletes the rows of sessions that are locked, without their plain side. */
export async function dropSessions(work: Work, sessions: readonly number[]): Promise<void> {
  await work.query('delete from cursor where session = any($1::bigint[])', [sessions])
  await work.query('delete from session where n = any($1::bigint[])', [sessions])
}
