/**
 * The index of searches in PostgreSQL: GIN over terms. It finds rows in no order, so that the newest of many must be
 * looked for in ever larger stretches, from the end: a rare term costs a few of them, a common one the first.
 */
import type { SearchIndex, TermQuery } from '../operations/transaction.ts'
import type { Work } from './work.ts'

const FIRST_STRETCH = 100_000
const STRETCH_GROWTH = 10

type Found = { place: number; log: number; seq: number }

export class PostgresSearchIndex implements SearchIndex {
  readonly #work: Work

  constructor(work: Work) {
    this.#work = work
  }

  async put(log: number, seq: number, terms: readonly string[]): Promise<void> {
    await this.#work.query(
      `insert into message_search (log, seq, terms) values ($1, $2, array_to_tsvector($3::text[]))
       on conflict (log, seq) do update set terms = excluded.terms`,
      [log, seq, terms],
    )
  }

  async drop(log: number, seq: number): Promise<void> {
    await this.#work.query('delete from message_search where log = $1 and seq = $2', [log, seq])
  }

  async find(query: TermQuery, before: number | null, limit: number): Promise<Found[]> {
    const text = expression(query)
    const [row] = await this.#work.query<{ newest: number | null }>(
      'select max(n) as newest from message_search',
    )
    let end = Math.min(before ?? Number.MAX_SAFE_INTEGER, (row!.newest ?? 0) + 1)
    const found: Found[] = []
    for (let stretch = FIRST_STRETCH; end > 1 && found.length < limit; stretch *= STRETCH_GROWTH) {
      const begin = Math.max(1, end - stretch)
      found.push(
        ...(await this.#work.query<Found>(
          `select n as place, log, seq from message_search
           where terms @@ $1::tsquery and n >= $2 and n < $3 order by n desc limit $4`,
          [text, begin, end, limit - found.length],
        )),
      )
      end = begin
    }
    return found
  }
}

/** Terms hold no quotation mark and no backslash [postgresql.org/docs/15/datatype-textsearch.html]. */
function expression({ all, any }: TermQuery): string {
  const parts = all.map(({ text, isPrefix }) => `'${text}'${isPrefix ? ':*' : ''}`)
  if (any.length > 0) parts.push(`(${any.map((text) => `'${text}'`).join(' | ')})`)
  return parts.join(' & ')
}
