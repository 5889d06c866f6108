/** The plain side of MQTT sessions in SQLite, for the calls of both sides. */
import { plainNodesOf } from './plain-nodes.ts'
import type { Work } from './work.ts'

/** Whether subscriptions, waiting messages or half-open QoS 2 are stored for a client. */
export function hasPlainSession(work: Work, clientId: string): boolean {
  return findPlainSession(work, clientId) !== undefined
}

/** Ends the plain side of a session, within the commit that ends the session; the delay of its will is over. */
export function endPlainSession(work: Work, clientId: string): void {
  const { db } = work
  db.prepare('update plain_will set publish_at = ? where client_id = ? and publish_at > ?').run(
    work.now,
    clientId,
    work.now,
  )
  const session = findPlainSession(work, clientId)
  if (session === undefined) return
  db.prepare(
    'update plain_message set refs = refs - 1 where n in (select message from plain_queue where session = ?)',
  ).run(session)
  db.prepare(
    'delete from plain_message where refs <= 0 and n in (select message from plain_queue where session = ?)',
  ).run(session)
  db.prepare('delete from plain_queue where session = ?').run(session)
  db.prepare('delete from plain_receipt where session = ?').run(session)
  db.prepare('delete from plain_subscription where session = ?').run(session)
  db.prepare('delete from plain_session where n = ?').run(session)
  const nodes = plainNodesOf(db)
  nodes.end(session)
  nodes.note({ kind: 'session', name: clientId })
}

/** The number of a session, unless there is none or a newer connection has it. */
export function holdPlainSession(
  work: Work,
  clientId: string,
  generation: number | null,
): number | undefined {
  const session = findPlainSession(work, clientId)
  if (session === undefined) return undefined
  return plainNodesOf(work.db).holds(session, generation) ? session : undefined
}

export function findPlainSession(work: Work, clientId: string): number | undefined {
  const row = work.db.prepare('select n from plain_session where client_id = ?').get(clientId) as
    | { n: number }
    | undefined
  return row?.n
}

/** The number of a session, made if it is new. */
export function ensurePlainSession(work: Work, clientId: string): number {
  const known = findPlainSession(work, clientId)
  if (known !== undefined) return known
  const { lastInsertRowid } = work.db
    .prepare('insert into plain_session (client_id, queued) values (?, 0)')
    .run(clientId)
  return Number(lastInsertRowid)
}
