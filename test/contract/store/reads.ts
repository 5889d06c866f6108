/**
 * How much of a store some work looks at, past the store. Unlike time it is the same on a slow and on a busy machine, so
 * that a promise about it holds everywhere.
 */
import { readFileSync } from 'node:fs'
import type { Store } from '../../../services/store/contract.ts'
import { until } from '../../harness/wait.ts'
import type { EngineOptions, StoreEngine } from './engine.ts'
import { openRawTables, type RawTables } from './raw-tables.ts'

const SQLITE_PAGE_BYTES = 4096
/** Of a page, and of an entry with two numbers in an index; in SQLite both are half of that. */
const [PAGE_BYTES, INDEX_ENTRY_BYTES] = [8192, 28]

/**
 * Pages of tables and of indexes; and rows, as far as indexes and tables gave them out, where entries of an index that
 * were passed over are none. SQLite does not say of rows: 0.
 */
export type Reads = { pages: number; rows: number }

export type Work = (store: Store) => Promise<unknown>

/** The least that a look at so many members is, by whichever index. */
export const leastPagesOf = (members: number): number => (members * INDEX_ENTRY_BYTES) / PAGE_BYTES

type Count = (
  engine: StoreEngine,
  options: EngineOptions,
  works: Readonly<Record<string, Work>>,
  rowsMin?: number,
) => Promise<Map<string, Reads>>

/**
 * What each work reads, one after the other, in a store that is opened for them. In PostgreSQL of tables with `rowsMin`
 * rows or more: one that is small may well be read as a whole.
 */
export const countReads: Count = (engine, options, works, rowsMin) =>
  (engine.location.startsWith('postgres') ? countInPostgres : countInSqlite)(engine, options, works, rowsMin)

/** A store that was just opened reads every page once, from the file. So each work counts what none before it has read. */
const countInSqlite: Count = async (engine, options, works) => {
  await using store = await engine.open(options)
  const reads = new Map<string, Reads>()
  for (const [name, work] of Object.entries(works)) {
    const before = bytesRead()
    await work(store)
    reads.set(name, { pages: Math.round((bytesRead() - before) / SQLITE_PAGE_BYTES), rows: 0 })
  }
  return reads
}

/** By this process with all of its threads [man7.org/linux/man-pages/man5/proc_pid_io.5.html]. */
const bytesRead = (): number => Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))![1])

/** Each time that a page is looked at. Connections hand their counts in when they end, so each work has its own. */
const countInPostgres: Count = async (engine, options, works, rowsMin = 0) => {
  await using tables = await openRawTables(engine)
  const large = await tables.query(`select relid from pg_stat_user_tables where n_live_tup >= ${rowsMin}`)
  const counted = large.map(({ relid }) => Number(relid))
  const readBy = async (work: Work): Promise<Reads> => {
    const before = await readSoFar(tables, counted)
    {
      await using store = await engine.open(options)
      await work(store)
    }
    return difference(await readSoFar(tables, counted), before)
  }
  const opening = await readBy(async () => {})
  const reads = new Map<string, Reads>()
  for (const [name, work] of Object.entries(works)) reads.set(name, difference(await readBy(work), opening))
  return reads
}

const difference = (a: Reads, b: Reads): Reads => ({ pages: a.pages - b.pages, rows: a.rows - b.rows })

/** By connections that have ended: all but this one. */
async function readSoFar(tables: RawTables, counted: readonly number[]): Promise<Reads> {
  const others = `select 1 from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()`
  await until(async () => (await tables.query(others)).length === 0, 'the end of all connections')
  const [row] = await tables.query(
    `with counted (relid) as (values ${counted.map((relid) => `(${relid}::oid)`).join()})
     select (select sum(seq_tup_read) from pg_stat_user_tables join counted using (relid))
         + (select sum(idx_tup_read) from pg_stat_user_indexes join counted using (relid)) as rows,
       (select sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0))
         from pg_statio_user_tables join counted using (relid)) as pages`,
  )
  return { pages: Number(row!.pages), rows: Number(row!.rows) }
}
