/**
 * What a store that several nodes share offers beyond the contract: where a log stands for one device, and what has
 * changed since a position in the order of commits. With both, a doorbell may be late, twice, out of order or lost.
 */
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import type { BehindLog, Store } from './contract.ts'

/** A place in the order of commits; opaque, and only comparable by the store. */
export type CommitPosition = string

/** What changed after a position; each thing once, as it is now. Items before the position may be among it. */
export type StoreChanges = {
  logs: { log: LogId; epoch: string; head: number }[]
  /** Windows of groups that were opened or closed. */
  windows: { log: LogId; uid: UserId; fromSeq: number; toSeq: number | null }[]
  /** Logins and devices that were ended; `sid` null: the whole device; `device` null: the account was suspended. */
  endedLogins: { uid: UserId; device: DeviceId | null; sid: string | null }[]
}

/** Of this node's connections to the database, for operators. */
export type DatabaseMetrics = {
  isAway: boolean
  /** Connections, and those of them that nobody uses. */
  open: number
  idle: number
  /** Calls that wait for a connection. */
  waiting: number
  /** Calls and batches of sends that were run again since the start, after a conflict or a lost connection. */
  retries: number
}

export interface SharedStore extends Store {
  database(): DatabaseMetrics
  /** Everything that is committed after this call resolves is found by {@link changesSince} of the answer. */
  position(): Promise<CommitPosition>
  /**
   * What was committed since, in pages: call again with `next` until `isLast`. By commit order, never by a bare
   * timestamp: a transaction that was open at the position is not missed.
   */
  changesSince(input: { since: CommitPosition; rowsMax: number }): Promise<{
    changes: StoreChanges
    next: CommitPosition
    isLast: boolean
  }>
  /**
   * Where logs stand for one session now, in the order asked; the cursor of a session that has none in the store
   * (`session` null) is the last entry up to `startedAt` ({@link InboxState}), of a log that appeared since, the
   * start of the user's window. Unlike in `startInbox`, a log that is not behind is listed too (`head` = `cursor`).
   * A log that the user may not see is left out.
   */
  placeLogs(input: {
    uid: UserId
    session: number | null
    startedAt: number
    logs: readonly LogId[]
    backlogMax: number
  }): Promise<BehindLog[]>
}
