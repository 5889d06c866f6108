/**
 * The versions of what the nodes' indexes hold. A change takes the next one under the lock of a single row, as the last
 * thing of its transaction: so versions follow the order of commits, and whoever reads one has all before it.
 */
import type { PlainChanges, PlainStep, PlainStore, PlainSubscription } from '../plain.ts'
import { readSubscription, type SubscriptionRow, textHash } from './plain-rows.ts'
import type { Operations, Work } from './work.ts'

/** Changes that are kept; a node that is further behind reads everything again. */
const CHANGES_KEPT = 100_000
/** Old ones are deleted once in so many changes. */
const TRIM_EVERY = 1_000

const SESSION = 0
const TOPIC = 1

export type PlainChange = { kind: typeof SESSION | typeof TOPIC; name: string }

export function sessionChange(clientId: string): PlainChange {
  return { kind: SESSION, name: clientId }
}

export function topicChange(topic: string): PlainChange {
  return { kind: TOPIC, name: topic }
}

/** Notes what a transaction changes; call it last, once it holds every other lock that it needs. */
export async function noteChanges(work: Work, changes: readonly PlainChange[]): Promise<PlainStep> {
  const count = changes.length
  if (count === 0) return { from: 0, to: 0 }
  const [row] = await work.query<{ to: number }>(
    `with taken as (update plain_version set version = version + $1 returning version),
     noted as (
       insert into plain_change (version, kind, name)
       select taken.version - $1 + change.place, change.kind, change.name
       from taken, unnest($2::int2[], $3::text[]) with ordinality as change(kind, name, place)
     )
     select version as "to" from taken`,
    [count, changes.map(({ kind }) => kind), changes.map(({ name }) => name)],
  )
  const to = row!.to
  const from = to - count
  if (Math.floor(from / TRIM_EVERY) < Math.floor(to / TRIM_EVERY)) {
    await work.query('delete from plain_change where version <= $1', [to - CHANGES_KEPT])
  }
  return { from, to }
}

export async function readVersion(work: Work): Promise<number> {
  const [row] = await work.query<{ version: number }>('select version from plain_version')
  return row!.version
}

type PlainVersionCalls = Pick<PlainStore, 'plainVersion' | 'plainChanges' | 'pagePlainSessions'>

export const plainVersionOperations: Operations<PlainVersionCalls> = {
  plainVersion: readVersion,

  async plainChanges(work, { since, rowsMax }) {
    // Before the rows: what is committed in between is in the rows already, and comes once more with its version.
    const newest = await readVersion(work)
    const rows = await work.query<PlainChange & { version: number }>(
      'select version, kind, name from plain_change where version > $1 order by version limit $2',
      [since, rowsMax],
    )
    const tooOld = newest > since && rows[0]?.version !== since + 1
    const names = (wanted: number) => [
      ...new Set(rows.filter(({ kind }) => kind === wanted).map(({ name }) => name)),
    ]
    const isLast = rows.length < rowsMax
    return {
      tooOld,
      changes: {
        sessions: await sessionsAsTheyAre(work, names(SESSION)),
        topics: await topicsAsTheyAre(work, names(TOPIC)),
      },
      version: rows.at(-1)?.version ?? Math.max(newest, since),
      isLast,
    }
  },

  async pagePlainSessions(work, { after, entriesMax }) {
    const rows = await work.query<{ client_id: string }>(
      'select client_id from plain_session where client_id > $1 order by client_id limit $2',
      [after, entriesMax],
    )
    const sessions = await sessionsAsTheyAre(
      work,
      rows.map(({ client_id: clientId }) => clientId),
    )
    // One that ended between the two reads is an empty one; its change follows.
    return sessions.map(({ clientId, subscriptions }) => ({ clientId, subscriptions: subscriptions ?? [] }))
  },
}

async function sessionsAsTheyAre(
  work: Work,
  clientIds: readonly string[],
): Promise<PlainChanges['sessions']> {
  if (clientIds.length === 0) return []
  const rows = await work.query<{ client_id: string } & (SubscriptionRow | { filter: null })>(
    `select s.client_id, filter, qos, rh, rap, nl, identifier
     from plain_session s left join plain_subscription on session = s.n
     where s.client_id = any($1) order by filter`,
    [clientIds],
  )
  const sessions = new Map<string, PlainSubscription[] | null>(clientIds.map((clientId) => [clientId, null]))
  for (const row of rows) {
    const subscriptions = sessions.get(row.client_id) ?? []
    sessions.set(row.client_id, subscriptions)
    if (row.filter !== null) subscriptions.push(readSubscription(row))
  }
  return [...sessions].map(([clientId, subscriptions]) => ({ clientId, subscriptions }))
}

async function topicsAsTheyAre(work: Work, topics: readonly string[]): Promise<PlainChanges['topics']> {
  if (topics.length === 0) return []
  const rows = await work.query<{ topic: string }>(
    'select topic from plain_retained where topic_hash = any($1::bytea[])',
    [topics.map(textHash)],
  )
  const retained = new Set(rows.map(({ topic }) => topic))
  return topics.map((topic) => ({ topic, isRetained: retained.has(topic) }))
}
