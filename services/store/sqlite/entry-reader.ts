/** Filed entries as the objects of the contract. */
import type { Entry } from '../../../protocol/entry.ts'
import type { LogId } from '../../../protocol/ids.ts'
import { ANSWER_BYTES_MAX } from '../answer-bytes.ts'
import type { Schema } from '../schema.ts'
import type { Work } from './work.ts'

export type LogRow = { n: number; name: LogId; epoch: number }

/** What an answer needs of a filed entry. */
export type EntryRow = Pick<
  Schema['entry'],
  'seq' | 'at' | 'kind' | 'account' | 'device' | 'id' | 'type' | 'body' | 'state'
>

/** A stretch of a log, both ends included, read from one of its ends. */
export type Stretch = { from: number; to: number; newestFirst: boolean }

const COLUMNS = 'select seq, at, kind, account, device, id, type, body, state from entry'
const OLDEST_FIRST = `${COLUMNS} where log = ? and seq between ? and ? order by seq`
const NEWEST_FIRST = `${OLDEST_FIRST} desc`

/** Reads entries until the answer is full, by number or by size. File the logs first. */
export class EntryReader {
  readonly #work: Work
  #entriesLeft: number
  #bytes = 0

  constructor(work: Work, entriesMax: number) {
    this.#work = work
    this.#entriesLeft = entriesMax
  }

  get isFull(): boolean {
    return this.#entriesLeft <= 0 || this.#bytes >= ANSWER_BYTES_MAX
  }

  /** The entries of a stretch, in the order of reading, as far as the answer has room. */
  read(log: LogRow, { from, to, newestFirst }: Stretch): Entry[] {
    const entries: Entry[] = []
    if (this.isFull) return entries
    const rows = this.#work.db
      .prepare(newestFirst ? NEWEST_FIRST : OLDEST_FIRST)
      .iterate(log.n, from, to) as IterableIterator<EntryRow>
    for (const row of rows) {
      entries.push(this.#build(log, row))
      this.#entriesLeft--
      this.#bytes += row.body.length
      if (this.isFull) break
    }
    return entries
  }

  #build(log: LogRow, row: EntryRow): Entry {
    return {
      log: log.name,
      epoch: `k${log.epoch}`,
      seq: row.seq,
      at: row.at,
      kind: row.kind,
      from: this.#work.accounts.uidOf(row.account),
      ...(row.device !== null && { device: row.device }),
      ...(row.id !== null && { id: row.id }),
      type: row.type,
      body: JSON.parse(row.body),
      ...(row.state !== null && { state: JSON.parse(row.state) }),
    }
  }
}
