/** Accounts by uid and by number, cached: every entry that is written or read needs one or the other. */
import type { UserId } from '../../../protocol/ids.ts'
import type { Database } from './database.ts'

/** About 15 MB of cache. */
const CACHED_MAX = 100_000

export class AccountsIndex {
  readonly #db: Database
  readonly #numbers = new Map<string, number>()
  readonly #uids = new Map<number, UserId>()
  /** Counts the accounts made here, so that a rollback knows whether the cache may lie. */
  created = 0

  constructor(db: Database) {
    this.#db = db
  }

  find(uid: string): number | undefined {
    const known = this.#numbers.get(uid)
    if (known !== undefined) return known
    const row = this.#db.prepare('select n from account where uid = ?').get(uid) as { n: number } | undefined
    if (row !== undefined) this.#remember(uid as UserId, row.n)
    return row?.n
  }

  /** The number of an account, made if it is new. */
  ensure(uid: UserId, now: number): number {
    return this.find(uid) ?? this.create(uid, null, now)
  }

  /** Makes an account. Its uid and phone must be free. */
  create(uid: UserId, phone: string | null, now: number): number {
    const { lastInsertRowid } = this.#db
      .prepare('insert into account (uid, phone, created_at) values (?, ?, ?)')
      .run(uid, phone, now)
    this.#remember(uid, Number(lastInsertRowid))
    this.created++
    return Number(lastInsertRowid)
  }

  uidOf(n: number): UserId {
    const known = this.#uids.get(n)
    if (known !== undefined) return known
    const row = this.#db.prepare('select uid from account where n = ?').get(n) as { uid: UserId } | undefined
    if (row === undefined) throw new Error(`account ${n} is missing`)
    this.#remember(row.uid, n)
    return row.uid
  }

  /** Forgets everything: after a rollback, what was cached may never have been. */
  reset(): void {
    this.#numbers.clear()
    this.#uids.clear()
  }

  #remember(uid: UserId, n: number): void {
    if (this.#numbers.size >= CACHED_MAX) this.reset()
    this.#numbers.set(uid, n)
    this.#uids.set(n, uid)
  }
}
