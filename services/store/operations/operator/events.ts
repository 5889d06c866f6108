/**
 * Events: what webhooks are told, as rows that are written with what they tell: by triggers of the engine
 * ({@link Transaction.watchSources}), which exist only while a webhook wants them.
 *
 * A row gets its `seq` when it is committed, from one transaction at a time ({@link orderEvents}); so whoever has read
 * up to a seq misses nothing, and two entries of one log keep their order.
 */
import type { EventType } from '../../../../protocol/events.ts'
import type { Transaction } from '../transaction.ts'

/** What writes events by itself, and for entries of which kinds. */
export type EventSource = 'entries' | 'accounts' | 'accountStates' | 'suspensions' | 'media' | 'reports'
export type EventSources = ReadonlyMap<EventSource, readonly string[]>

/** Rows that get their seq in one transaction. */
const ORDERED_TOGETHER = 2000
/** Old events deleted at once. */
const FORGOTTEN_TOGETHER = 2000

/** The kinds of entries behind a type of events; of groups and contacts all have one. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ['message.stored', 'message'],
  ['message.edited', 'edit'],
  ['message.recalled', 'recall'],
  ['message.reacted', 'reaction'],
])

/** The sources that tell of accounts, and what each tells. */
const ACCOUNT_SOURCES: ReadonlyMap<EventSource, readonly EventType[]> = new Map([
  ['accounts', ['account.created']],
  ['accountStates', ['account.deactivated', 'account.active', 'account.erased']],
  ['suspensions', ['account.suspended', 'account.restored']],
] as const)

/** Whether an event is of one of the patterns: its type, all of a family as `group.*`, or `*`. */
export function isWanted(type: string, patterns: readonly string[]): boolean {
  return patterns.some(
    (pattern) =>
      pattern === type ||
      pattern === '*' ||
      (pattern.endsWith('.*') && type.startsWith(pattern.slice(0, -1))),
  )
}

/** The sources of what the patterns ask for. */
export function sourcesOf(patterns: readonly string[]): EventSources {
  const sources = new Map<EventSource, readonly string[]>()
  const isAny = (family: string) => patterns.some((one) => one === '*' || one.startsWith(`${family}.`))
  const kinds = [...KINDS].filter(([type]) => isWanted(type, patterns)).map(([, kind]) => kind)
  for (const family of ['group', 'contact']) if (isAny(family)) kinds.push(family)
  if (kinds.length > 0) sources.set('entries', kinds)
  for (const [source, types] of ACCOUNT_SOURCES)
    if (types.some((type) => isWanted(type, patterns))) sources.set(source, [])
  if (isAny('media')) sources.set('media', [])
  if (isAny('report')) sources.set('reports', [])
  return sources
}

/** Locks the order of events until the end of the transaction; answers the last seq that was given. */
export async function lockOrder(tx: Transaction): Promise<number> {
  const row = await tx.first<{ last: number }>(
    'update event_order set last = last where n = 1 returning last',
  )
  return row!.last
}

/** Gives committed events their seq, in the order in which they were written; answers the last one given. */
export async function orderEvents(tx: Transaction): Promise<number> {
  const waiting = await tx.first('select 1 as one from event where seq is null limit 1')
  if (waiting === undefined) return lastSeq(tx)
  const last = await lockOrder(tx)
  // Read after the lock: what another transaction has ordered meanwhile is not seen as waiting.
  const ordered = await tx.query(
    `with waiting as (
       select n, row_number() over (order by n) as place
       from (select n from event where seq is null order by n limit $2) as next
     )
     update event set seq = $1 + waiting.place from waiting where waiting.n = event.n returning 1 as one`,
    [last, ORDERED_TOGETHER],
  )
  await tx.query('update event_order set last = $1 where n = 1', [last + ordered.length])
  return last + ordered.length
}

export async function lastSeq(tx: Transaction): Promise<number> {
  return (await tx.first<{ last: number }>('select last from event_order where n = 1'))!.last
}

/**
 * Deletes events and dead letters of a greater age, and the dead letters of webhooks that were removed, some at a time;
 * answers whether there are more.
 */
export async function forgetEvents(tx: Transaction, { keptMs }: { keptMs: number }): Promise<boolean> {
  const before = tx.now - keptMs
  const removed = await tx.first<{ n: number }>('select n from webhook where id is null limit 1')
  if (removed !== undefined) await forgetLettersOf(tx, removed.n)
  // By seq, and not by time: what is deleted must be a beginning.
  const gone = await tx.query(
    `delete from event where n in (
       select n from (select n, at from event where seq is not null order by seq limit $2) as oldest where at < $1
     ) returning 1 as one`,
    [before, FORGOTTEN_TOGETHER],
  )
  const letters = await tx.query(
    `delete from dead_letter where (webhook, seq) in (
       select webhook, seq from dead_letter where at < $1 order by at limit $2
     ) returning 1 as one`,
    [before, FORGOTTEN_TOGETHER],
  )
  return removed !== undefined || gone.length === FORGOTTEN_TOGETHER || letters.length === FORGOTTEN_TOGETHER
}

/** Deletes some dead letters of a webhook that was removed, and after the last of them what is left of it. */
export async function forgetLettersOf(tx: Transaction, webhook: number): Promise<void> {
  // One process at a time: another one would find the same letters gone, and take them for the last.
  const held = await tx.query('update webhook set paused = 1 where n = $1 returning n', [webhook])
  if (held.length === 0) return
  const letters = await tx.query(
    `delete from dead_letter where webhook = $1 and seq in (
       select seq from dead_letter where webhook = $1 order by seq limit $2
     ) returning 1 as one`,
    [webhook, FORGOTTEN_TOGETHER],
  )
  if (letters.length < FORGOTTEN_TOGETHER) await tx.query('delete from webhook where n = $1', [webhook])
}
