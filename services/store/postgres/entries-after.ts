/**
 * All entries in the order of their commits. A transaction below the `xmin` of a snapshot has ended, so that what was
 * read up to there is complete; what is above it is read later. Entries carry the id of their transaction, found
 * through a BRIN index, in stretches of ids.
 */
import type { CommittedRow, EntryPosition } from '../operations/transaction.ts'
import type { Work } from './work.ts'

/** Ids of transactions looked at by one statement. */
const STRETCH = 5000

/** The last entry that was read: its transaction, log and seq. */
type Place = [xid: number, log: number, seq: number]

export async function readEntriesAfter(
  work: Work,
  position: EntryPosition,
  limit: number,
): Promise<{ entries: CommittedRow[]; position: EntryPosition }> {
  const [ends] = await work.query<{ oldest: number | null; xmin: number }>(
    `select (select min(xid) from entry where $1 = '') as oldest,
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xmin`,
    [position],
  )
  const { oldest, xmin } = ends!
  let place: Place = position === '' ? [oldest ?? xmin, 0, 0] : parsePlace(position)
  while (place[0] < xmin) {
    const end = Math.min(place[0] + STRETCH, xmin)
    const rows = await work.query<CommittedRow & { xid: number }>(
      `select xid, log, seq, kind, account, type, body from entry
       where xid >= $1 and xid < $4 and (xid, log, seq) > ($1, $2, $3) order by xid, log, seq limit $5`,
      [...place, end, limit],
    )
    const last = rows.at(-1)
    if (last !== undefined) {
      return { entries: rows, position: [last.xid, last.log, last.seq].join('.') }
    }
    place = [end, 0, 0]
  }
  return { entries: [], position: place.join('.') }
}

/** Whether there are entries behind a position, or so many transactions without any that it should move on. */
export async function hasEntriesAfter(work: Work, position: EntryPosition): Promise<boolean> {
  if (position === '') return true
  const place = parsePlace(position)
  // A count, and not `exists`: for a first row the planner may prefer to look through the whole table.
  const [found] = await work.query<{ entries: number; isFar: boolean }>(
    `select pg_snapshot_xmin(pg_current_snapshot())::text::bigint > $4 as "isFar",
       (select count(*) from entry where xid >= $1 and xid < $4 and (xid, log, seq) > ($1, $2, $3)) as entries`,
    [...place, place[0] + STRETCH],
  )
  return found!.isFar || found!.entries > 0
}

function parsePlace(position: EntryPosition): Place {
  return position.split('.').map(Number) as unknown as Place
}
