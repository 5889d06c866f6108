/**
 * All entries in the order of their commits. A transaction below the `xmin` of a snapshot has ended, so that what was
 * read up to there is complete; what is above it is read later. Entries carry the id of their transaction, found
 * through a BRIN index, in stretches of ids.
 */
import type { CommittedRow, EntryPosition } from '../operations/transaction.ts'
import type { Work } from './work.ts'

/** Ids of transactions looked at by one statement: at first few, since each may have a thousand entries, then more. */
const NEAR = 20
const STRETCH_MAX = 5000
const GROWTH = 5

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
  for (let stretch = NEAR; place[0] < xmin; stretch = Math.min(stretch * GROWTH, STRETCH_MAX)) {
    const end = Math.min(place[0] + stretch, xmin)
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

/** Whether there are entries behind a position, or some transactions, so that it should move on. */
export async function hasEntriesAfter(work: Work, position: EntryPosition): Promise<boolean> {
  if (position === '') return true
  const place = parsePlace(position)
  // A count, and not `exists`: for a first row the planner may prefer to look through the whole table.
  const [found] = await work.query<{ waits: boolean }>(
    `select case when pg_snapshot_xmin(pg_current_snapshot())::text::bigint > $4 then true else
       (select count(*) > 0 from entry where xid >= $1 and xid < $4 and (xid, log, seq) > ($1, $2, $3)) end as waits`,
    [...place, place[0] + NEAR],
  )
  return found!.waits
}

function parsePlace(position: EntryPosition): Place {
  return position.split('.').map(Number) as unknown as Place
}
