/** For tests: what the embedded store keeps, past the store, so that "nothing has changed" means every row of every table. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { STORE_FILE } from '../../store/sqlite/files.ts'

/** A hash of the rows of each table, by its name. */
type TableHashes = Readonly<Record<string, string>>

export class StoreDigest implements Disposable {
  readonly #db: DatabaseSync
  #version: unknown
  #hashes: TableHashes = {}

  constructor(folder: string) {
    this.#db = new DatabaseSync(join(folder, STORE_FILE), { readOnly: true })
    this.#db.exec('pragma busy_timeout = 10000')
  }

  /** Reads the tables only if somebody has committed since the last time [sqlite.org/pragma.html#pragma_data_version]. */
  take(): TableHashes {
    const version = this.#db.prepare('pragma data_version').get()?.data_version
    if (version !== this.#version) {
      this.#hashes = this.#read()
      this.#version = version
    }
    return this.#hashes
  }

  /** In one transaction, so that all tables are of one moment. The index of searches has no rows to read. */
  #read(): TableHashes {
    this.#db.exec('begin')
    try {
      const tables = this.#db
        .prepare(`select name from sqlite_schema where type = 'table' and name not like 'message_search%'`)
        .all()
      return Object.fromEntries(tables.map(({ name }) => [String(name), this.#hash(String(name))]))
    } finally {
      this.#db.exec('rollback')
    }
  }

  #hash(table: string): string {
    const hash = createHash('sha256')
    const rows = this.#db.prepare(`select * from "${table}"`)
    rows.setReadBigInts(true)
    rows.setReturnArrays(true)
    for (const row of rows.iterate()) {
      hash.update(JSON.stringify(row, (_, value) => (typeof value === 'bigint' ? `${value}n` : value)))
    }
    return hash.digest('hex')
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}
