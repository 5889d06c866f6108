/** The list of conversations in an order that stands still while it is paged. */

import type { Transaction } from '../transaction.ts'
import { comparePlaces, type ListPlace } from './cursor.ts'
import { lastShown } from './last-shown.ts'
import type { ListedView } from './views.ts'

export type PlacedView = ListPlace & { view: ListedView }

/**
 * The views in their order at the time `asOf`: pinned ones first, then the last active. A list that is paged keeps
 * the order of its first page, so that a message that comes in between moves nothing in or out of the pages to come.
 */
export async function placeAsOf(
  tx: Transaction,
  account: number,
  views: readonly ListedView[],
  asOf: number,
): Promise<PlacedView[]> {
  const earlier = await activityAsOf(
    tx,
    account,
    views.filter((view) => view.quiet === 1 || view.at > asOf),
    asOf,
  )
  const placed: PlacedView[] = []
  for (const view of views) {
    const at = earlier.get(view.n) ?? view.at
    // One that is active after `asOf` and was not before began later.
    if (at > asOf) continue
    placed.push({ view, pinned: view.pinnedAt !== null && view.pinnedAt <= asOf, at, log: view.name })
  }
  return placed.sort(comparePlaces)
}

const LOW_END = 'case when log.first > from_seq then log.first else from_seq end'

/**
 * Of account $1, the last shown entries of the logs $3 up to the time $2. The last entry up to a time is found by
 * bisection, since `at` never goes back within a log; from there it goes back to one that is shown.
 */
const activityQuery = (logs: string): string => `
  with recursive search (log, low_end, low, high) as (
    select membership.log, ${LOW_END}, ${LOW_END}, coalesce(to_seq, log.head)
    from membership join log on log.n = membership.log
    where membership.account = $1 and membership.log in ${logs}
    union all
    select search.log, low_end, case when entry.at <= $2 then (low + high) / 2 + 1 else low end,
      case when entry.at <= $2 then high else (low + high) / 2 - 1 end
    from search left join entry on entry.log = search.log and entry.seq = (low + high) / 2
    where low <= high
  )
  select search.log, max((
    select shown.at from entry as shown where shown.log = search.log
      and shown.seq = ${lastShown('search.log', 'search.low_end', 'search.high')})) as at
  from search
  where search.low > search.high group by search.log`

async function activityAsOf(
  tx: Transaction,
  account: number,
  views: readonly ListedView[],
  asOf: number,
): Promise<Map<number, number>> {
  if (views.length === 0) return new Map()
  const rows = await tx.query<{ log: number; at: number | null }>(activityQuery(tx.list('$3', 'number')), [
    account,
    asOf,
    views.map(({ n }) => n),
  ])
  return new Map(rows.flatMap(({ log, at }) => (at === null ? [] : [[log, at]])))
}
