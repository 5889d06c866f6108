/** What an operation of the store works with, inside the transaction of its batch. */
import { ERROR_CODES, type ErrorCode } from '../../../protocol/errors.ts'
import type { LogId } from '../../../protocol/ids.ts'
import { encodeEpoch } from '../epoch.ts'
import type { EntryChange, FeedChange } from '../feed-change.ts'
import type { StorePolicy } from '../policy.ts'
import type { AccountsIndex } from './accounts-index.ts'
import type { Database } from './database.ts'
import type { Logs, NewEntry, UnfiledEntry } from './logs.ts'

/** What a call has done; its entries lie in the lines of the batch. */
export type FeedItem = EntryChange | FeedChange

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

export function errorIndex(code: ErrorCode): number {
  return ERROR_CODES.indexOf(code)
}

/** Appends an entry of a call (not of a send) and has the feed report it. */
export function appendEntry(
  work: Work,
  log: LogId,
  { isPersonal = false, ...entry }: Omit<NewEntry, 'id'> & { isPersonal?: boolean },
): UnfiledEntry {
  const state = work.logs.state(log)
  const appended = work.logs.append(state, { ...entry, id: null }, work.now)
  work.feed.push({
    kind: 'entry',
    log,
    epoch: encodeEpoch(state.epoch),
    seq: appended.seq,
    uid: entry.uid,
    device: entry.device,
    isPersonal,
  })
  return appended
}
