/**
 * The PostgreSQL database that a store moves into. How far each table has come is written in the transaction of its
 * rows, so that a move which was killed goes on right after the last row that arrived.
 */
import type pg from 'pg'
import { execute, openPool } from '../postgres/connections.ts'
import { migrate } from '../postgres/migrate.ts'
import { MoveError } from './move-error.ts'
import type { Row, TableMove } from './table-move.ts'
import { buildValues, TABLES } from './tables.ts'

/** Key of the advisory lock that a move holds; no other part of the program takes this one. */
const MOVE_LOCK = 7_310_002
/** Rows read back at a time: a row holds up to some hundred kB. */
const FETCH_ROWS = 200

export type Progress = { lastKey: unknown[] | null; rows: number }

export class MoveTarget implements AsyncDisposable {
  readonly pool: pg.Pool
  readonly #client: pg.PoolClient

  /**
   * Connects, makes the tables and begins the move or takes it up again. Rejects with {@link MoveError} when the
   * database holds anything but a part of this very source, or another move is running.
   */
  static async open(url: string, source: string): Promise<MoveTarget> {
    // One for the move, one for the keyring.
    const pool = openPool({ url, connectionsMax: 2, applicationName: 'wochat migrate' })
    // The pool reports a broken connection that nobody uses; the next query fails with it.
    pool.on('error', () => {})
    try {
      const target = new MoveTarget(pool, await pool.connect())
      try {
        await target.#begin(source)
        return target
      } catch (error) {
        target.#client.release(true)
        throw error
      }
    } catch (error) {
      await pool.end()
      if (error instanceof MoveError) throw error
      throw new MoveError(`the database: ${(error as Error).message}`, { cause: error })
    }
  }

  private constructor(pool: pg.Pool, client: pg.PoolClient) {
    this.pool = pool
    this.#client = client
    // Between two queries a lost connection has nobody else to tell; the next query fails with it.
    client.on('error', () => {})
  }

  async #begin(source: string): Promise<void> {
    const [lock] = await this.#all<{ held: boolean }>('select pg_try_advisory_lock($1) as held', [MOVE_LOCK])
    if (!lock!.held) throw new MoveError('another move into this database is running')
    await this.#refuseForeignTables()
    await migrate(this.#client)
    const [known] = await this.#all<{ source: string }>(
      "select value as source from secret where name = 'move_source'",
    )
    if (known?.source === source) return
    if (known !== undefined) throw new MoveError('the database holds a part of another installation')
    await this.#refuseData()
    await this.#inTransaction(async () => {
      await this.#all(
        `create table store_move (
           table_name text primary key, last_key text, rows bigint not null)`,
      )
      await this.#all("insert into secret (name, value) values ('move_source', $1)", [source])
    })
  }

  /** Tables that no migration of ours has made. */
  async #refuseForeignTables(): Promise<void> {
    const tables = await this.#all<{ name: string }>(
      `select tablename::text as name from pg_tables where schemaname = current_schema() order by tablename`,
    )
    if (tables.length === 0 || tables.some(({ name }) => name === 'migration')) return
    throw new MoveError(`the database holds other tables (${tables[0]!.name}, ...); give an empty one`)
  }

  async #refuseData(): Promise<void> {
    const filled = TABLES.filter(({ replaces }) => replaces !== true).map(({ table }) => table)
    for (const table of [...filled, 'signing_key', 'secret']) {
      const rows = await this.#all(`select 1 from ${table} limit 1`)
      if (rows.length > 0)
        throw new MoveError(`the database holds data already (table ${table}); give an empty one`)
    }
  }

  // -------------------------------------------------------------- writing

  async progress({ table }: TableMove): Promise<Progress> {
    const [row] = await this.#all<{ last_key: string | null; rows: number }>(
      'select last_key, rows from store_move where table_name = $1',
      [table],
    )
    return { lastKey: JSON.parse(row?.last_key ?? 'null'), rows: row?.rows ?? 0 }
  }

  /** Writes rows of the source, and that the table has come as far as the last of them. */
  async write(move: TableMove, rows: readonly Row[]): Promise<void> {
    const names = Object.keys(move.columns)
    const built = rows.map((row) => buildValues(move, row))
    const columns = names.map((_, i) => built.map((values) => values[i]))
    const places = Object.values(move.columns).map((type, i) => `$${i + 1}::${type}[]`)
    const last = rows.at(-1)!
    await this.#inTransaction(async () => {
      await this.#all(
        `insert into ${move.table} (${names.join(', ')}) overriding system value
         select * from unnest(${places.join(', ')}) ${move.replaces === true ? replacing(move) : ''}`,
        columns,
      )
      await this.#all(
        `insert into store_move as known (table_name, last_key, rows) values ($1, $2, $3)
         on conflict (table_name) do update
           set last_key = excluded.last_key, rows = known.rows + excluded.rows`,
        [move.table, JSON.stringify(move.key.map((column) => last[column])), rows.length],
      )
    })
  }

  /** The next number that a table gives is above `last`. */
  async setSequence({ table, sequence }: TableMove, last: number): Promise<void> {
    if (sequence === undefined || last === 0) return
    if ('name' in sequence) await this.#all('select setval($1::regclass, $2)', [sequence.name, last])
    else {
      await this.#all('select setval(pg_get_serial_sequence($1, $2)::regclass, $3)', [
        table,
        sequence.column,
        last,
      ])
    }
  }

  /** The move is whole: from now on the database is a store like any other. */
  async finish(): Promise<void> {
    await this.#inTransaction(async () => {
      await this.#all('drop table store_move')
      await this.#all("delete from secret where name = 'move_source'")
    })
    // Plans of a store that has no statistics yet read whole tables.
    await this.#client.query('analyze')
  }

  // -------------------------------------------------------------- reading back

  /** Rows of a query, a few at a time. */
  async *read(sql: string): AsyncGenerator<Row> {
    await this.#client.query('begin read only')
    try {
      await this.#client.query(`declare moved no scroll cursor for ${sql}`)
      for (;;) {
        const { rows } = await this.#client.query<Row>(`fetch ${FETCH_ROWS} from moved`)
        yield* rows
        if (rows.length < FETCH_ROWS) return
      }
    } finally {
      await this.#client.query('rollback')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The connection ends with its advisory lock.
    this.#client.release(true)
    await this.pool.end()
  }

  async #all<Result extends object>(sql: string, values: readonly unknown[] = []): Promise<Result[]> {
    return (await execute<Result>(this.#client, sql, values)).rows
  }

  async #inTransaction(body: () => Promise<void>): Promise<void> {
    await this.#client.query('begin')
    try {
      await body()
      await this.#client.query('commit')
    } catch (error) {
      await this.#client.query('rollback').catch(() => {})
      throw error
    }
  }
}

function replacing({ key, columns }: TableMove): string {
  const others = Object.keys(columns).filter((name) => !key.includes(name))
  return `on conflict (${key.join(', ')}) do update set ${others.map((name) => `${name} = excluded.${name}`).join(', ')}`
}
