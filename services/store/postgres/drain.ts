/** Reads what waits for devices: two statements for all the devices and logs that are asked for at a moment. */
import { encodeEntry } from '../../../protocol/entry.ts'
import type { LogId } from '../../../protocol/ids.ts'
import type { DrainPage, SessionStore } from '../contract.ts'
import { encodeEpoch } from '../epoch.ts'
import type { EntryRow } from '../operations/entries/row.ts'
import { asSeen, type Eyes, editedBy } from '../seen-content.ts'
import { WITHHELD, wireKind } from '../withheld.ts'
import { int8Array, textArray } from './array-values.ts'
import type { Together } from './gathered-calls.ts'
import type { Operations, Work } from './work.ts'

/** Entries `after` < seq <= `to` of one log; several may belong to one page. */
type Range = {
  page: DrainPage
  log: number
  after: number
  to: number
  /** The reader's account, if they have deleted entries of this log for themselves; else 0. */
  hider: number
  /** What the page's windows show. */
  sees: Pick<Eyes, 'isIn' | 'sees'>
}

type PlaceRow = {
  i: number
  n: number
  epoch: number
  head: number
  first: number
  from_seq: number | null
  to_seq: number | null
  /** The reader has cleared what came up to this one. */
  cleared_seq: number | null
  hider: number
}

type DrainedRow = EntryRow & {
  i: number
  /** Deleted by the reader for themselves. */
  hidden: boolean
  /** Of an edit: the reader has deleted the message for themselves. */
  about_hidden: boolean
  /** Of the bodies up to this one. */
  bytes: number
}

/** $1 users, $2 logs. "offset 0" keeps each look-up on its index: many at once must not become a read of the table. */
const PLACES = `
  select asked.i, log.n, log.epoch, log.head, log.first, m.from_seq, m.to_seq,
    kept.cleared_seq, coalesce(hides.account, 0) as hider
  from unnest($1::text[], $2::text[]) with ordinality as asked (uid, name, i)
  cross join lateral (select n, epoch, head, first from log where log.name = asked.name offset 0) log
  left join lateral (select n from account where account.uid = asked.uid offset 0) account on true
  left join lateral (
    select from_seq, to_seq from membership where membership.account = account.n and membership.log = log.n offset 0
  ) m on true
  left join lateral (
    select cleared_seq from conversation_state as mine where mine.account = account.n and mine.log = log.n offset 0
  ) kept on true
  left join lateral (
    select account from hidden where hidden.account = account.n and hidden.log = log.n limit 1
  ) hides on true
  order by asked.i, m.from_seq`

/** Stops, for each reader, behind the entry with which the bytes reach the bound; $1 to $7 have one item a range. */
const ENTRIES = `
  select part.i, part.seq, part.at, part.kind, account.uid, part.device, part.id, part.type, part.body,
    part.state, part.bytes,
    case when part.hider = 0 then false else exists (
      select 1 from hidden where hidden.account = part.hider and hidden.log = part.log and hidden.seq = part.seq
    ) end as hidden,
    case when part.hider = 0 or part.kind <> 'edit' then false else exists (
      select 1 from hidden where hidden.account = part.hider and hidden.log = part.log
        and hidden.seq = (part.body::json ->> 'seq')::bigint
    ) end as about_hidden
  from (
    select range.i, range.bytes_max, range.hider, entry.*,
      (sum(octet_length(entry.body)) over (partition by range.reader order by range.i, entry.seq))::bigint as bytes
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
      as range (i, log, after, "to", reader, bytes_max, hider)
    cross join lateral (
      select * from entry
      where entry.log = range.log and entry.seq > range.after and entry.seq <= range."to" offset 0
    ) entry
  ) as part
  cross join lateral (select uid from account where account.n = part.account offset 0) account
  where part.bytes - octet_length(part.body) < part.bytes_max
  order by part.i, part.seq`

type Input = Parameters<SessionStore['drain']>[0]
type Result = Awaited<ReturnType<SessionStore['drain']>>
type Plan = { input: Input; pages: DrainPage[]; ranges: Range[] }

export const drain: Operations<SessionStore>['drain'] = async (work, input) =>
  (await drainAll(work, [input]))[0]!

export const drains: Together<Input, Result> = async (work, inputs) =>
  (await drainAll(work, inputs)).map((result) => ({ result }))

async function drainAll(work: Work, inputs: readonly Input[]): Promise<Result[]> {
  const asked = inputs.flatMap(({ uid, requests }) => requests.map(({ log }) => ({ uid, log })))
  const rows = await work.query<PlaceRow>(PLACES, [
    textArray(asked.map(({ uid }) => uid)),
    textArray(asked.map(({ log }) => log)),
  ])
  const places = Map.groupBy(rows, (row) => row.i)
  let askedBefore = 0
  const plans = inputs.map((input) => {
    const first = askedBefore + 1
    askedBefore += input.requests.length
    return { input, ...planReads(input, (i) => places.get(first + i) ?? []) }
  })
  const entries = await readRanges(work, plans)
  let rangesBefore = 0
  return plans.map((plan) => {
    const first = rangesBefore
    rangesBefore += plan.ranges.length
    return fillPages(plan, (i) => entries.get(first + i) ?? [])
  })
}

/** Pages for the first logs, and the stretches of entries that fill them; they are without gaps, so they can be counted. */
function planReads(
  { requests, entriesMax }: Input,
  windowsOf: (i: number) => readonly PlaceRow[],
): Omit<Plan, 'input'> {
  const pages: DrainPage[] = []
  const ranges: Range[] = []
  let left = entriesMax
  for (const [i, { log, after }] of requests.entries()) {
    if (left <= 0) break
    const windows = windowsOf(i)
    const page = newPage(log, after, windows[0]?.epoch ?? 1)
    pages.push(page)
    left = planPage(page, windows, ranges, left)
  }
  return { pages, ranges }
}

function newPage(log: LogId, after: number, epoch: number): DrainPage {
  return { log, epoch: encodeEpoch(epoch), after, through: after, head: after, seqs: [], ends: [], gap: null }
}

/** Plans what a page reads in each window that has something; answers how many entries may still be read. */
function planPage(
  page: DrainPage,
  windows: readonly PlaceRow[],
  ranges: Range[],
  entriesMax: number,
): number {
  const sees = eyesOn(windows)
  let left = entriesMax
  let planned = page.after
  let isCut = false
  for (const { n, head, first, from_seq, to_seq, cleared_seq, hider } of windows) {
    if (from_seq === null) break
    const end = to_seq ?? head
    page.head = Math.max(page.head, end)
    if (isCut || end <= planned) continue
    let start = Math.max(planned, from_seq - 1, Math.min(cleared_seq ?? 0, end))
    if (start < first - 1) {
      // Only a page that begins with the hole can say so; else the next one does.
      if (ranges.at(-1)?.page === page) {
        isCut = true
        continue
      }
      start = Math.min(first - 1, end)
      page.gap = { to: start, reason: 'retention' }
    }
    // What lies between the windows, or was cleared, is not for this user.
    page.through = ranges.at(-1)?.page === page ? page.through : start
    const to = Math.min(end, start + left)
    if (to > start) ranges.push({ page, log: n, after: start, to, hider, sees })
    left -= to - start
    planned = to
    isCut = to < end || left <= 0
  }
  return left
}

function eyesOn(windows: readonly PlaceRow[]): Range['sees'] {
  return {
    isIn: windows.some(({ to_seq }) => to_seq === null),
    sees: (seq) =>
      windows.some(
        ({ from_seq, to_seq, cleared_seq }) =>
          from_seq !== null && Math.max(from_seq, (cleared_seq ?? 0) + 1) <= seq && seq <= (to_seq ?? seq),
      ),
  }
}

/** The entries of all ranges, by the position of their range. */
async function readRanges(work: Work, plans: readonly Plan[]): Promise<Map<number, DrainedRow[]>> {
  const asked = plans.flatMap(({ input, ranges }, reader) =>
    ranges.map((range) => ({ ...range, reader, bytesMax: input.bytesMax })),
  )
  if (asked.length === 0) return new Map()
  const rows = await work.query<DrainedRow>(ENTRIES, [
    int8Array(asked.map((_, i) => i)),
    int8Array(asked.map(({ log }) => log)),
    int8Array(asked.map(({ after }) => after)),
    int8Array(asked.map(({ to }) => to)),
    int8Array(asked.map(({ reader }) => reader)),
    int8Array(asked.map(({ bytesMax }) => bytesMax)),
    int8Array(asked.map(({ hider }) => hider)),
  ])
  return Map.groupBy(rows, (row) => row.i)
}

/** The pages behind the one with which the answer was full were not read. */
function fillPages({ input, pages, ranges }: Plan, rowsOf: (i: number) => readonly DrainedRow[]): Result {
  const { uid, device, bytesMax } = input
  const lines: string[] = []
  let end = 0
  let last: DrainPage | null = null
  for (const [i, { page, sees }] of ranges.entries()) {
    const rows = rowsOf(i)
    const deleted = new Set(rows.flatMap((row) => (row.about_hidden ? (editedBy(row) ?? []) : [])))
    const eyes = { ...sees, isDeleted: (seq: number) => deleted.has(seq) }
    for (const row of rows) {
      page.through = row.seq
      last = row.bytes >= bytesMax ? page : null
      const isOwn = row.uid === uid
      if (isOwn ? row.device !== null && row.device === device : row.kind === WITHHELD) continue
      if (row.hidden) continue
      const { seq, at, id, type, body: bodyJson, state: stateJson } = asSeen(row, eyes)
      const place = { log: page.log, epoch: page.epoch, seq, at, kind: wireKind(row.kind) }
      const line = encodeEntry({ ...place, from: row.uid, device: row.device, id, type, bodyJson, stateJson })
      lines.push(line)
      end += Buffer.byteLength(line)
      page.seqs.push(seq)
      page.ends.push(end)
    }
  }
  const read = last === null ? pages : pages.slice(0, pages.indexOf(last) + 1)
  return { pages: read, bytes: Buffer.from(lines.join('')) }
}
