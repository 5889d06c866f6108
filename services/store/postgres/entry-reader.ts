/** Entries as the objects of the contract. */
import type { Entry } from '../../../protocol/entry.ts'
import type { LogId, UserId } from '../../../protocol/ids.ts'
import { ANSWER_BYTES_MAX } from '../answer-bytes.ts'
import type { Work } from './work.ts'

type LogRow = { n: number; name: LogId; epoch: number }

/** A stretch of a log, both ends included, read from one of its ends. */
export type Stretch = { from: number; to: number; newestFirst: boolean }

type EntryRow = {
  log: number
  seq: number
  at: number
  kind: string
  uid: UserId
  device: string | null
  id: string | null
  type: string
  body: string
  state: string | null
}

/** The rows of `read` (each with `before`, the bytes of those before it) that an answer of $1 bytes has room for. */
const fitting = (read: string): string => `
  select read.log, read.seq, read.at, read.kind, account.uid, read.device, read.id, read.type, read.body,
    read.state
  from (${read}) as read
  join account on account.n = read.account
  where read.before < $1
  order by read.place`

const stretch = (direction: 'asc' | 'desc'): string =>
  fitting(`
    select part.*, sum(octet_length(body)) over (order by place) - octet_length(body) as before
    from (
      select entry.*, row_number() over (order by seq ${direction}) as place from entry
      where log = $2 and seq between $3 and $4 order by seq ${direction} limit $5
    ) as part`)

const OLDEST_FIRST = stretch('asc')
const NEWEST_FIRST = stretch('desc')

const ONE_OF_EACH = fitting(`
  select entry.*, place, sum(octet_length(body)) over (order by place) - octet_length(body) as before
  from unnest($2::bigint[], $3::bigint[]) with ordinality as asked (log_n, seq_n, place)
  join entry on entry.log = asked.log_n and entry.seq = asked.seq_n`)

/** Reads stretches of one log until the answer is full, by number or by size. */
export class EntryReader {
  readonly #work: Work
  #entriesLeft: number
  #bytesLeft = ANSWER_BYTES_MAX

  constructor(work: Work, entriesMax: number) {
    this.#work = work
    this.#entriesLeft = entriesMax
  }

  get isFull(): boolean {
    return this.#entriesLeft <= 0 || this.#bytesLeft <= 0
  }

  /** The entries of a stretch, in the order of reading, as far as the answer has room. */
  async read(log: LogRow, { from, to, newestFirst }: Stretch): Promise<Entry[]> {
    if (this.isFull || from > to) return []
    const rows = await this.#work.query<EntryRow>(newestFirst ? NEWEST_FIRST : OLDEST_FIRST, [
      this.#bytesLeft,
      log.n,
      from,
      to,
      this.#entriesLeft,
    ])
    this.#entriesLeft -= rows.length
    this.#bytesLeft -= rows.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0)
    return rows.map((row) => buildEntry(log, row))
  }
}

/**
 * The last entry of each log, as many of the first logs as one answer has room for. A log whose entry was trimmed has
 * none. `through`: how many of the logs were looked at.
 */
export async function readHeads(
  work: Work,
  logs: readonly (LogRow & { head: number })[],
): Promise<{ entries: Map<number, Entry>; through: number }> {
  const rows = await work.query<EntryRow>(ONE_OF_EACH, [
    ANSWER_BYTES_MAX,
    logs.map(({ n }) => n),
    logs.map(({ head }) => head),
  ])
  const byNumber = new Map(logs.map((log) => [log.n, log]))
  const entries = new Map(rows.map((row) => [row.log, buildEntry(byNumber.get(row.log)!, row)]))
  const bytes = rows.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0)
  const last = rows.at(-1)
  const isFull = last !== undefined && bytes >= ANSWER_BYTES_MAX
  return { entries, through: isFull ? logs.findIndex(({ n }) => n === last.log) + 1 : logs.length }
}

function buildEntry(log: LogRow, row: EntryRow): Entry {
  return {
    log: log.name,
    epoch: `k${log.epoch}`,
    seq: row.seq,
    at: row.at,
    kind: row.kind,
    from: row.uid,
    ...(row.device !== null && { device: row.device }),
    ...(row.id !== null && { id: row.id }),
    type: row.type,
    body: JSON.parse(row.body),
    ...(row.state !== null && { state: JSON.parse(row.state) }),
  }
}
