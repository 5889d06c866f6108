/** What a person keeps of plain MQTT, beside the sessions of devices that still have a row. */
import type { UserId } from '../../../protocol/ids.ts'
import type { OwnMessage } from '../operations/transaction.ts'
import { dropSessions } from './device-session.ts'
import { dropPlainSessions } from './plain-session.ts'
import { noteChanges, sessionChange, topicChange } from './plain-versions.ts'
import type { Work } from './work.ts'

/** `client_id` is `{uid}/{device}`, and `0` is the character that follows `/`. */
const OF_PERSON = `client_id > $1 || '/' and client_id < $1 || '0'`

/** See {@link Transaction.endOwnSpace}. Locks are taken in the order of plain-publish.ts. */
export async function endOwnSpace(work: Work, uid: UserId, limit: number): Promise<boolean> {
  const sessions = await work.query<{ n: number }>(
    `select n from session where ${OF_PERSON} order by client_id limit $2 for update`,
    [uid, limit],
  )
  await dropSessions(
    work,
    sessions.map(({ n }) => n),
  )
  const plain = await work.query<{ client_id: string }>(
    `select client_id from plain_session where ${OF_PERSON} order by client_id limit $2`,
    [uid, limit],
  )
  const clientIds = plain.map((row) => row.client_id)
  await dropPlainSessions(work, clientIds)
  const wills = await work.query(
    `delete from plain_will where client_id in (
       select client_id from plain_will where ${OF_PERSON} order by client_id limit $2) returning 1`,
    [uid, limit],
  )
  const topics = await work.query<{ topic: string }>(
    `delete from plain_retained where topic_hash in (
       select topic_hash from plain_retained where split_part(topic, '/', 2) = $1 and topic like 'u/%'
       order by topic_hash limit $2 for update) returning topic`,
    [uid, limit],
  )
  await noteChanges(work, [...clientIds.map(sessionChange), ...topics.map(({ topic }) => topicChange(topic))])
  return Math.max(sessions.length, plain.length, wills.length, topics.length) < limit
}

/** See {@link Transaction.readOwnSpace}. A place is the hash of a topic. */
export function readOwnSpace(
  work: Work,
  uid: UserId,
  after: string | null,
  limit: number,
): Promise<OwnMessage[]> {
  return work.query<OwnMessage>(
    `select topic, payload, encode(topic_hash, 'hex') as place from plain_retained
     where split_part(topic, '/', 2) = $1 and topic like 'u/%' and topic_hash > decode($2, 'hex')
       and (expires_at is null or expires_at > $3)
     order by topic_hash limit $4`,
    [uid, after ?? '', work.now, limit],
  )
}
