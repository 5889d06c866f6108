/** What a call of the store works with inside its PostgreSQL transaction (READ COMMITTED, one connection). */
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import type { StorePolicy } from '../policy.ts'

/** A change that the {@link CommitFeed} hears of after the commit; an entry brings its JSON for the wire. */
export type FeedItem =
  | {
      kind: 'entry'
      log: LogId
      epoch: string
      seq: number
      uid: UserId
      device: DeviceId | null
      json: string
    }
  | { kind: 'joined'; log: LogId; uid: UserId; fromSeq: number }
  | { kind: 'left'; log: LogId; uid: UserId; toSeq: number }
  | { kind: 'read'; uid: UserId; log: LogId; seq: number }
  | { kind: 'loginEnded'; uid: UserId; device: DeviceId | null; sid: string | null }

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
