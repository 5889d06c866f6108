/** What a person keeps of plain MQTT, beside the sessions of devices that still have a row. */
import type { ClientId, UserId } from '../../../protocol/ids.ts'
import { ownTopicPrefix } from '../../../protocol/topics.ts'
import type { OwnMessage } from '../operations/transaction.ts'
import { endDeviceSession } from './device-session.ts'
import { plainNodesOf } from './plain-nodes.ts'
import type { Work } from './work.ts'

/** Sorts after every text that begins with what stands before it: the character that follows `/`. */
const AFTER_SLASH = '0'

/** See {@link Transaction.endOwnSpace}. */
export function endOwnSpace(work: Work, uid: UserId, limit: number): boolean {
  const clients: [string, string] = [`${uid}/`, `${uid}${AFTER_SLASH}`]
  const prefix = ownTopicPrefix(uid)
  const ofClients = (table: string) =>
    namesBetween(work, table, 'client_id', ...clients, limit).map((name) => name as ClientId)
  const sessions = [...new Set([...ofClients('session'), ...ofClients('plain_session')])]
  for (const clientId of sessions) endDeviceSession(work, clientId)
  const wills = ofClients('plain_will')
  for (const clientId of wills) work.db.prepare('delete from plain_will where client_id = ?').run(clientId)
  const topics = namesBetween(work, 'plain_retained', 'topic', prefix, endOf(prefix), limit)
  for (const topic of topics) {
    work.db.prepare('delete from plain_retained where topic = ?').run(topic)
    plainNodesOf(work.db).note({ kind: 'topic', name: topic })
  }
  return Math.max(sessions.length, wills.length, topics.length) < limit
}

/** See {@link Transaction.readOwnSpace}. A place is a topic. */
export function readOwnSpace(work: Work, uid: UserId, after: string | null, limit: number): OwnMessage[] {
  const prefix = ownTopicPrefix(uid)
  return work.db
    .prepare(
      `select topic, payload, topic as place from plain_retained
       where topic > ? and topic < ? and (expires_at is null or expires_at > ?) order by topic limit ?`,
    )
    .all(after ?? prefix, endOf(prefix), work.now, limit) as OwnMessage[]
}

const endOf = (prefix: string): string => prefix.slice(0, -1) + AFTER_SLASH

function namesBetween(
  work: Work,
  table: string,
  column: string,
  from: string,
  to: string,
  limit: number,
): string[] {
  const rows = work.db
    .prepare(
      `select ${column} as name from ${table} where ${column} >= ? and ${column} < ? order by ${column} limit ?`,
    )
    .all(from, to, limit) as { name: string }[]
  return rows.map(({ name }) => name)
}
