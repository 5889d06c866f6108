/** One connection to the SQLite file, with the pragmas that our promises rest on, and its prepared statements. */
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { migrate } from './migrate.ts'
import { RowStatement } from './row-statement.ts'

/** Statements kept prepared. Queries with lists of any length use a few fixed lengths, so that this is enough. */
const STATEMENTS_MAX = 500

export class Database {
  readonly connection: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly #rowStatements = new Map<string, RowStatement>()
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

  /** As {@link prepare}, for statements that may give many rows. */
  prepareRows(sql: string): RowStatement {
    let statement = this.#rowStatements.get(sql)
    if (statement === undefined) {
      if (this.#rowStatements.size >= STATEMENTS_MAX) this.#rowStatements.clear()
      statement = new RowStatement(this.connection.prepare(sql))
      this.#rowStatements.set(sql, statement)
    }
    return statement
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
    migrate(this.connection)
  }

  close(): void {
    this.#statements.clear()
    this.#rowStatements.clear()
    this.connection.close()
  }
}
