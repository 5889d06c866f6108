/**
 * How much of a store some work looks at, past the store: rows in PostgreSQL, pages in SQLite. Unlike time it is the same
 * on a slow and on a busy machine, so that a promise about it holds everywhere.
 */
import { readFileSync } from 'node:fs'
import type { Store } from '../../../services/store/contract.ts'
import { until } from '../../harness/wait.ts'
import type { EngineOptions, StoreEngine } from './engine.ts'
import { openRawTables, type RawTables } from './raw-tables.ts'

const PAGE_BYTES = 4096
/** A row id and the fields of an entry of an index: no index has less. */
const INDEX_ENTRY_BYTES = 10

export type Work = (store: Store) => Promise<unknown>

const isPostgres = ({ location }: StoreEngine): boolean => location.startsWith('postgres')

/**
 * What each work reads, one after the other, in a store that is opened for them. In SQLite each counts only what none
 * before it has read.
 */
export function countReads(
  engine: StoreEngine,
  options: EngineOptions,
  works: Readonly<Record<string, Work>>,
): Promise<Map<string, number>> {
  return isPostgres(engine) ? countRows(engine, options, works) : countPages(engine, options, works)
}

/** The least that a look at so many rows can be, by whichever index. */
export const leastReadsOf = (engine: StoreEngine, rows: number): number =>
  isPostgres(engine) ? rows : (rows * INDEX_ENTRY_BYTES) / PAGE_BYTES

type Count = typeof countReads

/** A store that was just opened has read no page yet, and reads each but once: all of them from the file. */
const countPages: Count = async (engine, options, works) => {
  await using store = await engine.open(options)
  const pages = new Map<string, number>()
  for (const [name, work] of Object.entries(works)) {
    const before = bytesRead()
    await work(store)
    pages.set(name, Math.round((bytesRead() - before) / PAGE_BYTES))
  }
  return pages
}

/** By this process with all of its threads [man7.org/linux/man-pages/man5/proc_pid_io.5.html]. */
const bytesRead = (): number => Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))![1])

/** Rows of tables and of indexes. Connections hand their counts in when they end, so each work has its own. */
const countRows: Count = async (engine, options, works) => {
  await using tables = await openRawTables(engine)
  const rows = new Map<string, number>()
  for (const [name, work] of Object.entries(works)) {
    const before = await rowsRead(tables)
    {
      await using store = await engine.open(options)
      await work(store)
    }
    rows.set(name, (await rowsRead(tables)) - before)
  }
  return rows
}

/** So far, by connections that have ended: all but this one. */
async function rowsRead(tables: RawTables): Promise<number> {
  const others = `select 1 from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()`
  await until(async () => (await tables.query(others)).length === 0, 'the end of all connections')
  const [row] = await tables.query(
    `select (select sum(seq_tup_read) from pg_stat_user_tables)
       + (select sum(idx_tup_read) from pg_stat_user_indexes) as rows`,
  )
  return Number(row!.rows)
}
