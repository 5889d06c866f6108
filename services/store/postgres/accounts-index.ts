/** Accounts by uid and by number, as committed: neither ever changes, so that what was seen once may be kept. */
import type { UserId } from '../../../protocol/ids.ts'

/** About 15 MB of cache. */
const CACHED_MAX = 100_000

export class AccountsIndex {
  readonly #numbers = new Map<string, number>()
  readonly #uids = new Map<number, UserId>()

  find(uid: string): number | undefined {
    return this.#numbers.get(uid)
  }

  uidOf(n: number): UserId | undefined {
    return this.#uids.get(n)
  }

  /** Only of rows that are committed. */
  remember(uid: UserId, n: number): void {
    if (this.#numbers.size >= CACHED_MAX) {
      this.#numbers.clear()
      this.#uids.clear()
    }
    this.#numbers.set(uid, n)
    this.#uids.set(n, uid)
  }
}
