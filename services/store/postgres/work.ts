/** What a call of the store works with inside its PostgreSQL transaction (READ COMMITTED, one connection). */
import type { UserId } from '../../../protocol/ids.ts'
import type { EntryChange, FeedChange } from '../feed-change.ts'
import type { StorePolicy } from '../policy.ts'

/** What a call has done; an entry brings its JSON for the wire. */
export type FeedItem = (EntryChange & { json: string }) | FeedChange

export interface Work {
  /** Runs SQL with `$1`...; int8 comes as a number. The text is prepared once per connection. */
  query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>
  /** Clock of the database at the start of the transaction, ms. */
  readonly now: number
  readonly policy: StorePolicy
  /** This node, as the holder of sessions and wills. */
  readonly node: string
  /** In the order of the effects. */
  readonly feed: FeedItem[]
  /** The number of an account, which is made if it is new. Take several in the order of their uids. */
  ensureAccount(uid: UserId): Promise<number>
  findAccount(uid: UserId): Promise<number | undefined>
  /** The number of an account that a statement has told on its way. */
  learnAccount(uid: UserId, account: number): void
  uidOf(account: number): Promise<UserId>
}

/** A call of the contract, inside its transaction; one that throws is rolled back. */
export type Operations<Calls> = {
  [Name in keyof Calls]: Calls[Name] extends (...input: infer Input) => Promise<infer Result>
    ? (work: Work, ...input: Input) => Promise<Result>
    : never
}
