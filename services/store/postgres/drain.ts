/** Reads what waits for a device: two statements for all the logs that are asked for. */
import { encodeEntry } from '../../../protocol/entry.ts'
import type { LogId, UserId } from '../../../protocol/ids.ts'
import type { DrainPage, DrainRequest, SessionStore } from '../contract.ts'
import type { Operations, Work } from './work.ts'

/** Entries `after` < seq <= `to` of one log; several may belong to one page. */
type Range = { page: DrainPage; log: number; after: number; to: number }

type PlaceRow = {
  i: number
  n: number
  epoch: number
  head: number
  first: number
  from_seq: number | null
  to_seq: number | null
}

type EntryRow = {
  i: number
  seq: number
  at: number
  kind: string
  uid: UserId
  device: string | null
  id: string | null
  type: string
  body: string
  /** Of the bodies up to this one. */
  bytes: number
}

const PLACES = `
  select asked.i, log.n, log.epoch, log.head, log.first, m.from_seq, m.to_seq
  from unnest($2::text[]) with ordinality as asked (name, i)
  join log on log.name = asked.name
  left join membership m on m.account = $1 and m.log = log.n
  order by asked.i, m.from_seq`

/** Stops behind the entry with which the bytes reach $5; $1 to $4 have one item a range. */
const ENTRIES = `
  select part.i, part.seq, part.at, part.kind, account.uid, part.device, part.id, part.type, part.body,
    part.bytes
  from (
    select range.i, entry.*,
      (sum(octet_length(entry.body)) over (order by range.i, entry.seq))::bigint as bytes
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) as range (i, log, after, "to")
    join entry on entry.log = range.log and entry.seq > range.after and entry.seq <= range."to"
  ) as part
  join account on account.n = part.account
  where part.bytes - octet_length(part.body) < $5
  order by part.i, part.seq`

export const drain: Operations<SessionStore>['drain'] = async (
  work,
  { uid, device, requests, entriesMax, bytesMax },
) => {
  const account = (await work.findAccount(uid)) ?? null
  const rows = await work.query<PlaceRow>(PLACES, [account, requests.map(({ log }) => log)])
  const { pages, ranges } = planReads(requests, rows, entriesMax)
  const { bytes, last } = await readRanges(work, { ranges, uid, device, bytesMax })
  // The pages behind one that was cut were not read.
  return { pages: last === null ? pages : pages.slice(0, pages.indexOf(last) + 1), bytes }
}

/** Pages for the first logs, and the stretches of entries that fill them; they are without gaps, so they can be counted. */
function planReads(
  requests: readonly DrainRequest[],
  rows: readonly PlaceRow[],
  entriesMax: number,
): { pages: DrainPage[]; ranges: Range[] } {
  const places = Map.groupBy(rows, (row) => row.i)
  const pages: DrainPage[] = []
  const ranges: Range[] = []
  let left = entriesMax
  for (const [i, { log, after }] of requests.entries()) {
    if (left <= 0) break
    const windows = places.get(i + 1) ?? []
    const page = newPage(log, after, windows[0]?.epoch ?? 1)
    pages.push(page)
    left = planPage(page, windows, ranges, left)
  }
  return { pages, ranges }
}

function newPage(log: LogId, after: number, epoch: number): DrainPage {
  return { log, epoch: `k${epoch}`, after, through: after, head: after, seqs: [], ends: [], gap: null }
}

/** Plans what a page reads in each window that has something; answers how many entries may still be read. */
function planPage(
  page: DrainPage,
  windows: readonly PlaceRow[],
  ranges: Range[],
  entriesMax: number,
): number {
  let left = entriesMax
  let planned = page.after
  let isCut = false
  for (const { n, head, first, from_seq, to_seq } of windows) {
    if (from_seq === null) break
    const end = to_seq ?? head
    page.head = Math.max(page.head, end)
    if (isCut || end <= planned) continue
    let start = Math.max(planned, from_seq - 1)
    if (start < first - 1) {
      // Only a page that begins with the hole can say so; else the next one does.
      if (ranges.at(-1)?.page === page) {
        isCut = true
        continue
      }
      start = Math.min(first - 1, end)
      page.gap = { to: start, reason: 'retention' }
    }
    // What lies between the windows is not for this user.
    page.through = ranges.at(-1)?.page === page ? page.through : start
    const to = Math.min(end, start + left)
    if (to > start) ranges.push({ page, log: n, after: start, to })
    left -= to - start
    planned = to
    isCut = to < end || left <= 0
  }
  return left
}

/** `last`: the page with which the answer was full, or null. */
async function readRanges(
  work: Work,
  input: { ranges: readonly Range[]; uid: UserId; device: string | null; bytesMax: number },
): Promise<{ bytes: Buffer; last: DrainPage | null }> {
  const { ranges, uid, device, bytesMax } = input
  if (ranges.length === 0) return { bytes: Buffer.alloc(0), last: null }
  const rows = await work.query<EntryRow>(ENTRIES, [
    ranges.map((_, i) => i),
    ranges.map((range) => range.log),
    ranges.map((range) => range.after),
    ranges.map((range) => range.to),
    bytesMax,
  ])
  const lines: string[] = []
  let end = 0
  for (const row of rows) {
    const { page } = ranges[row.i]!
    page.through = row.seq
    if (row.uid === uid && row.device !== null && row.device === device) continue
    const { seq, at, kind, id, type, body: bodyJson } = row
    const place = { log: page.log, epoch: page.epoch, seq, at, kind }
    const line = encodeEntry({ ...place, from: row.uid, device: row.device, id, type, bodyJson })
    lines.push(line)
    end += Buffer.byteLength(line)
    page.seqs.push(seq)
    page.ends.push(end)
  }
  const lastRow = rows.at(-1)
  const isFull = lastRow !== undefined && lastRow.bytes >= bytesMax
  return { bytes: Buffer.from(lines.join('')), last: isFull ? ranges[lastRow.i]!.page : null }
}
