/** The SQLite store of a stopped single-node installation. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { SQLInputValue } from 'node:sqlite'
import { DEFAULT_POLICY } from '../policy.ts'
import { AccountsIndex } from '../sqlite/accounts-index.ts'
import { Database } from '../sqlite/database.ts'
import { STORE_FILE } from '../sqlite/files.ts'
import { FolderLockedError, lockFolder } from '../sqlite/folder-lock.ts'
import { Logs } from '../sqlite/logs.ts'
import { MoveError } from './move-error.ts'
import type { Row, TableMove } from './table-move.ts'

export class MoveSource implements Disposable {
  readonly #db: Database
  readonly #release: () => void

  /** Takes the data folder. Throws {@link MoveError} when a server runs on it, or it has no store. */
  constructor(dataDir: string) {
    const file = join(dataDir, STORE_FILE)
    if (!existsSync(file)) throw new MoveError(`${dataDir}: there is no store (${STORE_FILE})`)
    this.#release = lock(dataDir)
    this.#db = new Database(file)
    this.#db.migrate()
    this.#fileJournal()
  }

  /** As the start of a server does: then every entry is in the tables. */
  #fileJournal(): void {
    const logs = new Logs(this.#db, new AccountsIndex(this.#db), {
      ...DEFAULT_POLICY,
      contactsRequired: true,
    })
    this.#db.prepare('begin immediate').run()
    logs.recover()
    logs.file()
    this.#db.prepare('commit').run()
  }

  count({ from }: TableMove): number {
    return (this.#db.prepare(`select count(*) as rows from ${from}`).get() as { rows: number }).rows
  }

  /** Rows in the order of their keys, from the one after `after` on. */
  rows({ from, key }: TableMove, after: readonly unknown[] | null = null): Iterable<Row> {
    const columns = key.join(', ')
    const rest = after === null ? '' : `where (${columns}) > (${key.map(() => '?').join(', ')})`
    return this.#db
      .prepare(`select * from ${from} ${rest} order by ${columns}`)
      .iterate(...((after ?? []) as SQLInputValue[])) as Iterable<Row>
  }

  /** The highest number that was ever given: also one whose row is gone must not be given again. */
  lastNumber({ from, table }: TableMove): number {
    const row = this.#db
      .prepare(
        `select max(coalesce((select max(n) from ${from}), 0),
           coalesce((select seq from sqlite_sequence where name = ?), 0)) as last`,
      )
      .get(table) as { last: number }
    return row.last
  }

  all(sql: string): Iterable<Row> {
    return this.#db.prepare(sql).iterate() as Iterable<Row>
  }

  [Symbol.dispose](): void {
    this.#db.close()
    this.#release()
  }
}

function lock(dataDir: string): () => void {
  try {
    return lockFolder(dataDir).release
  } catch (error) {
    if (error instanceof FolderLockedError) throw new MoveError(`${error.message}; stop it first`)
    throw error
  }
}
