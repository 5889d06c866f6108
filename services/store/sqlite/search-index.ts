/** The index of searches in SQLite: FTS5, with an entry's number as the row's. */
import type { SearchIndex, TermQuery, Transaction } from '../operations/transaction.ts'

export class SqliteSearchIndex implements SearchIndex {
  readonly #tx: Transaction

  constructor(tx: Transaction) {
    this.#tx = tx
  }

  async put(log: number, seq: number, terms: readonly string[]): Promise<void> {
    const n = await this.#numberOf(log, seq)
    if (n === undefined) return
    await this.#tx.query('delete from message_search where rowid = $1', [n])
    await this.#tx.query('insert into message_search (rowid, terms) values ($1, $2)', [n, terms.join(' ')])
  }

  async drop(log: number, seq: number): Promise<void> {
    const n = await this.#numberOf(log, seq)
    if (n !== undefined) await this.#tx.query('delete from message_search where rowid = $1', [n])
  }

  find(
    query: TermQuery,
    before: number | null,
    limit: number,
  ): Promise<{ place: number; log: number; seq: number }[]> {
    return this.#tx.query(
      `select entry.n as place, entry.log, entry.seq from (
         select rowid as n from message_search where message_search match $1 and rowid < $2
         order by rowid desc limit $3
       ) as found cross join entry on entry.n = found.n order by entry.n desc`,
      [expression(query), before ?? Number.MAX_SAFE_INTEGER, limit],
    )
  }

  async #numberOf(log: number, seq: number): Promise<number | undefined> {
    const row = await this.#tx.first<{ n: number }>('select n from entry where log = $1 and seq = $2', [
      log,
      seq,
    ])
    return row?.n
  }
}

/** Terms hold no quotation mark [sqlite.org/fts5.html#full_text_query_syntax]. */
function expression({ all, any }: TermQuery): string {
  const parts = all.map(({ text, isPrefix }) => `"${text}"${isPrefix ? '*' : ''}`)
  if (any.length > 0) parts.push(`(${any.map((text) => `"${text}"`).join(' OR ')})`)
  return parts.join(' AND ')
}
