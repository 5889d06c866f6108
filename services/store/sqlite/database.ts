/** One connection to the SQLite file, with the pragmas that our promises rest on, and typed synchronous queries. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import { CLUSTERED_TABLES, MIGRATIONS, type Schema } from '../schema.ts'

/** A query that Kysely has built; its result rows have type `Row`. */
type Query<Row> = {
  compile(): { sql: string; parameters: readonly unknown[] }
  readonly expressionType?: Row | undefined
}

/** Statements kept prepared. Queries with lists of any length use a few fixed lengths, so that this is enough. */
const STATEMENTS_MAX = 500

export class Database {
  readonly connection: DatabaseSync
  /** Builds queries; never executes them itself. */
  readonly sql: Kysely<Schema>
  readonly #statements = new Map<string, StatementSync>()
  #savepoint = false

  constructor(file: string, { readOnly = false }: { readOnly?: boolean } = {}) {
    this.connection = new DatabaseSync(file, { readOnly })
    // WAL with full sync: a commit returns after fsync of the log [sqlite.org/pragma.html#pragma_synchronous].
    // Checkpoints run on a connection of their own, off the commit path.
    this.connection.exec(`
      pragma journal_mode = wal;
      pragma synchronous = full;
      pragma wal_autocheckpoint = 0;
      pragma cache_size = -65536;
      pragma temp_store = memory;
      pragma busy_timeout = 10000;
    `)
    this.sql = new Kysely<Schema>({
      dialect: {
        createAdapter: () => new SqliteAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: (db) => new SqliteIntrospector(db),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      },
    })
  }

  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      if (this.#statements.size >= STATEMENTS_MAX) this.#statements.clear()
      statement = this.connection.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  all<Row>(query: Query<Row>): Row[] {
    const { sql, parameters } = query.compile()
    return this.prepare(sql).all(...(parameters as SQLInputValue[])) as Row[]
  }

  get<Row>(query: Query<Row>): Row | undefined {
    const { sql, parameters } = query.compile()
    return this.prepare(sql).get(...(parameters as SQLInputValue[])) as Row | undefined
  }

  /** Runs a statement that returns no rows; answers how many rows it changed. */
  run(query: Query<unknown>): number {
    const { sql, parameters } = query.compile()
    return Number(this.prepare(sql).run(...(parameters as SQLInputValue[])).changes)
  }

  /** From here on, what is written can be taken back by {@link undoSavepoint} without the rest of the transaction. */
  openSavepoint(): void {
    this.prepare('savepoint call').run()
    this.#savepoint = true
  }

  undoSavepoint(): void {
    this.prepare('rollback to call').run()
  }

  closeSavepoint(): void {
    this.#savepoint = false
    // A transaction that SQLite ended by itself, such as on a full disk, took its savepoints along.
    if (this.connection.isTransaction) this.prepare('release call').run()
  }

  /** What was written since {@link openSavepoint} is no longer taken back with what comes after. */
  advanceSavepoint(): void {
    if (!this.#savepoint) return
    this.closeSavepoint()
    this.openSavepoint()
  }

  /** Brings the schema to the newest version, in one transaction; a newer one than we know is refused. */
  migrate(): void {
    this.connection.exec('begin immediate')
    const { user_version: version } = this.connection.prepare('pragma user_version').get() as {
      user_version: number
    }
    if (version > MIGRATIONS.length) {
      throw new Error(
        `the data folder was written by a newer wochat (schema ${version}, known ${MIGRATIONS.length})`,
      )
    }
    for (const migration of MIGRATIONS.slice(version)) {
      for (const statement of migration(this.sql)) this.connection.exec(clustered(statement.compile().sql))
    }
    this.connection.exec(`pragma user_version = ${MIGRATIONS.length}`)
    this.connection.exec('commit')
  }

  close(): void {
    this.#statements.clear()
    this.connection.close()
  }
}

function clustered(sql: string): string {
  const table = /^create table "(\w+)"/.exec(sql)?.[1]
  return table !== undefined && CLUSTERED_TABLES.has(table) ? `${sql} without rowid` : sql
}
