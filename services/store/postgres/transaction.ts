/** The {@link Work} of one call: its transaction on one connection, and what it has learned about accounts. */
import type { UserId } from '../../../protocol/ids.ts'
import type { StorePolicy } from '../policy.ts'
import type { AccountsIndex } from './accounts-index.ts'
import { type Executor, execute } from './connections.ts'
import type { FeedItem, Work } from './work.ts'

export type WorkSettings = { policy: StorePolicy; node: string; accounts: AccountsIndex }

export class TransactionWork implements Work {
  readonly now: number
  readonly policy: StorePolicy
  readonly node: string
  readonly feed: FeedItem[] = []
  readonly #executor: Executor
  readonly #committed: AccountsIndex
  /** Accounts that this transaction may have made: only its commit makes them known to others. */
  readonly #own = new Map<string, number>()

  constructor(executor: Executor, now: number, { policy, node, accounts }: WorkSettings) {
    this.#executor = executor
    this.now = now
    this.policy = policy
    this.node = node
    this.#committed = accounts
  }

  async query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const { rows } = await execute<Row & object>(this.#executor, text, values)
    return rows
  }

  async findAccount(uid: UserId): Promise<number | undefined> {
    const known = this.#committed.find(uid) ?? this.#own.get(uid)
    if (known !== undefined) return known
    const [row] = await this.query<{ n: number }>('select n from account where uid = $1', [uid])
    if (row !== undefined) this.#own.set(uid, row.n)
    return row?.n
  }

  async ensureAccount(uid: UserId): Promise<number> {
    const known = await this.findAccount(uid)
    if (known !== undefined) return known
    const [made] = await this.query<{ n: number }>(
      'insert into account (uid, created_at) values ($1, $2) on conflict (uid) do nothing returning n',
      [uid, this.now],
    )
    // Somebody else made it since we looked: the insert has waited for their commit, so that it is seen now.
    if (made === undefined) return (await this.findAccount(uid))!
    this.#own.set(uid, made.n)
    return made.n
  }

  learnAccount(uid: UserId, account: number): void {
    if (this.#committed.find(uid) === undefined) this.#own.set(uid, account)
  }

  async uidOf(account: number): Promise<UserId> {
    const known = this.#committed.uidOf(account)
    if (known !== undefined) return known
    const [row] = await this.query<{ uid: UserId }>('select uid from account where n = $1', [account])
    if (row === undefined) throw new Error(`account ${account} is missing`)
    this.#own.set(row.uid, account)
    return row.uid
  }

  /** To be called after the commit. */
  shareAccounts(): void {
    for (const [uid, n] of this.#own) this.#committed.remember(uid as UserId, n)
  }
}
