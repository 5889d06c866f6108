/** What an operation of the store works with, inside the transaction of its batch. */
import { ERROR_CODES, type ErrorCode, WochatError } from '../../../protocol/errors.ts'
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import type { Caller } from '../contract.ts'
import type { StorePolicy } from '../policy.ts'
import type { AccountsIndex } from './accounts-index.ts'
import type { Database } from './database.ts'
import type { Logs, NewEntry, UnfiledEntry } from './logs.ts'

/** A change that the {@link CommitFeed} hears of, other than an entry of a send. */
export type FeedItem =
  | { kind: 'entry'; log: LogId; epoch: string; seq: number; uid: UserId; device: DeviceId | null }
  | { kind: 'joined'; log: LogId; uid: UserId; fromSeq: number }
  | { kind: 'left'; log: LogId; uid: UserId; toSeq: number }
  | { kind: 'read'; uid: UserId; log: LogId; seq: number }
  | { kind: 'loginEnded'; uid: UserId; device: DeviceId | null; sid: string | null }

export type Work = {
  readonly db: Database
  readonly accounts: AccountsIndex
  readonly logs: Logs
  readonly policy: StorePolicy
  /** Time of the batch, ms. */
  now: number
  /** In the order of the effects; cleared for each batch. */
  feed: FeedItem[]
}

/** How long a result is kept at least; longer than any client keeps repeating a call. */
const RESULTS_KEPT_MS = 7 * 24 * 60 * 60 * 1000
/** Old results deleted with each new one: more than one, so that the table does not outgrow its week. */
const RESULTS_FORGOTTEN_EACH = 4

/**
 * Keeps the result of a mutating call under its requestId, and gives that result when the call comes again. `input`
 * names what makes two calls the same: the caller's parameters in a fixed order, without bounds or ids of our own.
 */
export function once<Result>(
  work: Work,
  op: string,
  input: { caller: Caller; requestId?: string | undefined; [param: string]: unknown },
  effect: () => Result,
): Result {
  const { requestId, caller, ...params } = input
  if (requestId === undefined) return effect()
  const account = work.accounts.ensure(caller.uid, work.now)
  const hash = JSON.stringify(params)
  const { sql } = work.db
  const known = work.db.get(
    sql.selectFrom('request').selectAll().where('account', '=', account).where('id', '=', requestId),
  )
  if (known !== undefined) {
    if (known.op !== op || known.hash !== hash) throw new WochatError('id_conflict')
    return JSON.parse(known.result) as Result
  }
  const result = effect()
  work.db.run(
    sql
      .insertInto('request')
      .values({ account, id: requestId, op, hash, result: JSON.stringify(result), at: work.now }),
  )
  work.db
    .prepare(
      `delete from request where (account, id) in
         (select account, id from request where at < ? order by at limit ?)`,
    )
    .run(work.now - RESULTS_KEPT_MS, RESULTS_FORGOTTEN_EACH)
  return result
}

export function errorIndex(code: ErrorCode): number {
  return ERROR_CODES.indexOf(code)
}

/** Appends an entry of a call (not of a send) and has the feed report it. */
export function appendEntry(work: Work, log: LogId, entry: Omit<NewEntry, 'id'>): UnfiledEntry {
  const state = work.logs.state(log)
  const appended = work.logs.append(state, { ...entry, id: null }, work.now)
  work.feed.push({
    kind: 'entry',
    log,
    epoch: state.epochText,
    seq: appended.seq,
    uid: entry.uid,
    device: entry.device,
  })
  return appended
}
