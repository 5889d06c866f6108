/** Entries of one log as one person sees them, read up to a number, a size and a part of the log. */
import type { Entry } from '../../../../protocol/entry.ts'
import { asSeen, editedBy } from '../../seen-content.ts'
import { isTold, WRITTEN_KINDS } from '../../withheld.ts'
import type { Transaction, Value } from '../transaction.ts'
import { canSee, deletedOf, eyesOf, type Readable } from './access.ts'
import { buildEntry, type EntryRow } from './row.ts'

/** Seqs that one read passes at most, whether it shows them or not: some 5 ms of work. */
const LOOKED_AT_MAX = 2000

/** Messages of some types, and with `hasAddress` also texts with a web address; none that were recalled. */
export type Filter = { types: readonly string[]; hasAddress: boolean }

/** What an app shows in its tabs of one conversation. */
export const CONTENT_KINDS = {
  media: { types: ['image', 'video'], hasAddress: false },
  files: { types: ['file', 'audio'], hasAddress: false },
  links: { types: ['link'], hasAddress: true },
} as const satisfies Record<string, Filter>

export type ReadLimits = { entriesMax: number; bytesMax: number; filter: Filter | null }

type Row = EntryRow & { bytes: number }

/** Of $1 the log, $2 the person: not deleted by them for themselves, and not withheld from them. */
const SHOWN = `${isTold('entry', '$2')}
  and not exists (select 1 from hidden where account = $2 and log = $1 and hidden.seq = entry.seq)`

/** The first rows of `part`, up to the one with which they reach $3 bytes. */
const read = (part: string, order: 'asc' | 'desc'): string => `
  select fitting.seq, fitting.at, fitting.kind, account.uid, fitting.device, fitting.id, fitting.type, fitting.body, fitting.state, fitting.bytes
  from (
    select part.*, octet_length(body) as bytes,
      sum(octet_length(body)) over (order by seq ${order}) - octet_length(body) as before
    from (${part}) as part
  ) as fitting
  join account on account.n = fitting.account
  where fitting.before < $3
  order by fitting.seq ${order}`

const COLUMNS = 'seq, at, kind, account, device, id, type, body, state'

const stretch = (order: 'asc' | 'desc', filter = ''): string =>
  read(
    `select ${COLUMNS} from entry
     where log = $1 and seq between $4 and $5 and ${SHOWN} ${filter} order by seq ${order} limit $6`,
    order,
  )

/** Reads stretches of one log until the answer is full, or as much was looked at as one call may. */
export class EntryReader {
  readonly #tx: Transaction
  readonly #readable: Readable
  readonly #filter: Filter | null
  #entriesLeft: number
  #bytesLeft: number
  #looksLeft = LOOKED_AT_MAX

  constructor(tx: Transaction, readable: Readable, { entriesMax, bytesMax, filter }: ReadLimits) {
    this.#tx = tx
    this.#readable = readable
    this.#filter = filter
    this.#entriesLeft = entriesMax
    this.#bytesLeft = bytesMax
  }

  /**
   * Entries from one seq to another, both included, in the order of reading. `next`: the seq to go on with; null when
   * nothing is left up to `to`.
   */
  async read({ from, to, newestFirst }: { from: number; to: number; newestFirst: boolean }): Promise<{
    entries: Entry[]
    next: number | null
  }> {
    const [low, high] = newestFirst ? [to, from] : [from, to]
    const entries: Entry[] = []
    const windows = newestFirst ? this.#readable.windows.toReversed() : this.#readable.windows
    for (const window of windows) {
      let start = Math.max(low, window.from)
      let end = Math.min(high, window.to)
      if (start > end) continue
      if (this.#isFull) return { entries, next: newestFirst ? end : start }
      const looks = Math.min(this.#looksLeft, end - start + 1)
      this.#looksLeft -= looks
      const isCut = looks < end - start + 1
      if (newestFirst) start = end - looks + 1
      else end = start + looks - 1
      const found = await this.#readStretch(start, end, newestFirst)
      entries.push(...(await this.#build(found)))
      const stop = this.#isAnswerFull ? found.at(-1)!.seq : newestFirst ? start : end
      const isDone = stop === (newestFirst ? Math.max(low, window.from) : Math.min(high, window.to))
      if (isCut || !isDone) return { entries, next: newestFirst ? stop - 1 : stop + 1 }
    }
    return { entries, next: null }
  }

  /** The entries of some seqs that the person may see, in the order of the log. */
  async pick(seqs: readonly number[]): Promise<Entry[]> {
    const visible = seqs.filter((seq) => canSee(this.#readable, seq))
    if (visible.length === 0) return []
    const wanted = `select ${COLUMNS} from entry
      where log = $1 and seq in ${this.#tx.list('$4', 'number')} and ${SHOWN}`
    return this.#build(this.#take(await this.#query(read(wanted, 'asc'), visible)))
  }

  get #isAnswerFull(): boolean {
    return this.#entriesLeft <= 0 || this.#bytesLeft <= 0
  }

  get #isFull(): boolean {
    return this.#isAnswerFull || this.#looksLeft <= 0
  }

  async #readStretch(low: number, high: number, newestFirst: boolean): Promise<Row[]> {
    const order = newestFirst ? 'desc' : 'asc'
    if (this.#filter === null) {
      return this.#take(await this.#query(stretch(order), low, high, this.#entriesLeft))
    }
    const { types, hasAddress } = this.#filter
    const address = hasAddress
      ? ` or (type = 'text' and (body like '%http://%' or body like '%https://%'))`
      : ''
    const filter = `and kind in ${WRITTEN_KINDS} and body <> '{}'
      and (type in ${this.#tx.list('$7', 'text')}${address})`
    return this.#take(await this.#query(stretch(order, filter), low, high, this.#entriesLeft, types))
  }

  #query(sql: string, ...values: readonly Value[]): Promise<Row[]> {
    const { log, account } = this.#readable
    return this.#tx.query<Row>(sql, [log.n, account, this.#bytesLeft, ...values])
  }

  #take(rows: Row[]): Row[] {
    this.#entriesLeft -= rows.length
    for (const { bytes } of rows) this.#bytesLeft -= bytes
    return rows
  }

  /** With the content that the person may see; under a filter, only those that have it. */
  async #build(rows: readonly Row[]): Promise<Entry[]> {
    const edited = rows.flatMap((row) => editedBy(row) ?? [])
    const eyes = eyesOf(this.#readable, await deletedOf(this.#tx, this.#readable, edited))
    const seen = rows.map((row) => asSeen(row, eyes))
    const wanted = this.#filter === null ? seen : seen.filter(({ body }) => body !== '{}')
    return wanted.map((row) => buildEntry(this.#readable.log, row))
  }
}
