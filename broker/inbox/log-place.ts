/** Where one log stands for one device: how far it was sent and acknowledged, and whether it is behind. */
import type { LogId } from '../../protocol/ids.ts'
import type { MissingEntries } from '../../services/store/contract.ts'
import type { InboxSession } from './inbox-session.ts'

/** The log has rung, and the store is asked where it stands for the device. */
export const UNKNOWN = -1

export class LogPlace {
  readonly session: InboxSession
  readonly log: LogId
  epoch: string
  /** Last seq that was written, or passed because it is not for this device. */
  sent: number
  /** Last seq that is known to exist for this device; above `sent` the log is behind. */
  head: number
  /** Written entries without a PUBACK. */
  outstanding = 0
  /** Everything up to here is acknowledged. */
  cursor: number
  /** An entry was acknowledged by a PUBACK since the cursor was last flushed. */
  isAcked = false
  /** The log waits in the session's queue to be read from the store. */
  isBehind = false
  /** Of a group: the user is in it from here on, or was when this was known; who was let out before is in again. */
  inFrom = 0
  /** Of a group: the user was let out after this entry. */
  outAfter = 0
  /** Entries right after `sent` that a gap must report before the log goes on. */
  gap: MissingEntries | null = null

  constructor(session: InboxSession, log: LogId, epoch: string, sent: number) {
    this.session = session
    this.log = log
    this.epoch = epoch
    this.sent = sent
    this.head = sent
    this.cursor = sent
  }

  /** Moves the cursor forward; the session's store hears of it within the flush time. */
  moveCursor(seq: number): void {
    if (seq <= this.cursor) return
    this.cursor = seq
    this.session.cursorMoved(this)
  }

  /** Entries up to `seq` need no PUBACK of this device: its own ones, and what it may not see. */
  pass(seq: number): void {
    this.sent = seq
    if (this.head < seq) this.head = seq
    if (this.outstanding === 0) this.moveCursor(seq)
  }
}
