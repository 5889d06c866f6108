/** The list of conversations in an order that stands still while it is paged. */
import { isAfter, type ListPlace } from '../conversation-cursor.ts'
import type { ConversationView } from './conversation-views.ts'
import type { Work } from './work.ts'

export type ListedView = ListPlace & { view: ConversationView }

/**
 * The views in the order of their last activity at the time `asOf`. A list that is paged keeps the order of its first
 * page, so that a message that comes in between moves nothing in or out of the pages to come.
 */
export async function listAsOf(
  work: Work,
  account: number,
  views: readonly ConversationView[],
  asOf: number,
): Promise<ListedView[]> {
  const later = views.filter((view) => view.at > asOf)
  const earlier =
    later.length === 0 ? new Map<number, number>() : await activityAsOf(work, account, later, asOf)
  const listed: ListedView[] = []
  for (const view of views) {
    const at = view.at <= asOf ? view.at : earlier.get(view.n)
    if (at !== undefined) listed.push({ view, at, log: view.name })
  }
  return listed.sort((a, b) => (isAfter(b, a) ? -1 : 1))
}

/** A stretch of a log in which the last entry up to a time is looked for: it is in [low, high], if there is one. */
type Search = { log: number; low: number; high: number }

/**
 * When logs that were active after `asOf` were last active before; none for one that began later. By bisection,
 * since `at` never goes back within a log; all logs at once, so that the number of queries does not grow with them.
 */
async function activityAsOf(
  work: Work,
  account: number,
  views: readonly ConversationView[],
  asOf: number,
): Promise<Map<number, number>> {
  let searches = await windowsOf(work, account, views)
  const found = new Map<number, number>()
  while (searches.length > 0) {
    const times = await timesOf(work, searches)
    searches = searches.flatMap((search, i) => {
      const middle = middleOf(search)
      const at = times[i]!
      if (at > asOf) return narrow({ ...search, high: middle - 1 })
      found.set(search.log, Math.max(at, found.get(search.log) ?? at))
      return narrow({ ...search, low: middle + 1 })
    })
  }
  return found
}

async function windowsOf(work: Work, account: number, views: readonly ConversationView[]): Promise<Search[]> {
  const byNumber = new Map(views.map((view) => [view.n, view]))
  const windows = await work.query<{ log: number; from_seq: number; to_seq: number | null }>(
    'select log, from_seq, to_seq from membership where account = $1 and log = any($2::bigint[])',
    [account, [...byNumber.keys()]],
  )
  return windows.flatMap(({ log, from_seq, to_seq }) => {
    const { first, head } = byNumber.get(log)!
    return narrow({ log, low: Math.max(first, from_seq), high: to_seq ?? head })
  })
}

const narrow = (search: Search): Search[] => (search.low <= search.high ? [search] : [])
const middleOf = ({ low, high }: Search): number => Math.floor((low + high) / 2)

/** Times of the entries in the middle of the stretches, in their order. */
async function timesOf(work: Work, searches: readonly Search[]): Promise<number[]> {
  const rows = await work.query<{ at: number }>(
    `select entry.at from unnest($1::bigint[], $2::bigint[]) with ordinality as asked (log, seq, place)
     join entry on entry.log = asked.log and entry.seq = asked.seq order by asked.place`,
    [searches.map(({ log }) => log), searches.map(middleOf)],
  )
  return rows.map(({ at }) => at)
}
