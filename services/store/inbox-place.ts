/** Where a session stands in a log of its user: what both engines work out of the rows that they read. */
import type { LogId } from '../../protocol/ids.ts'
import type { BehindLog, MissingEntries } from './contract.ts'
import { encodeEpoch } from './epoch.ts'

/** A log that an account may see, in part or no longer. */
export type VisibleLog = {
  n: number
  name: LogId
  epoch: number
  head: number
  from: number
  /** Last seq that the account may see. */
  visible: number
  /** Windows that are still open. */
  open: number
  cursor: number | null
  cursorEpoch: number | null
}

/** The cursor is of another life of the log, or beyond what is left of it. */
export function isOfAnotherLife({
  cursor,
  cursorEpoch,
  head,
  epoch,
}: Pick<VisibleLog, 'cursor' | 'cursorEpoch' | 'head' | 'epoch'>): boolean {
  return cursor !== null && (cursor > head || cursorEpoch !== epoch)
}

/** The place of a log whose cursor is of its present life. */
export function placeKnown(
  {
    name,
    epoch,
    from,
    visible,
    cursor: known,
  }: Pick<VisibleLog, 'name' | 'epoch' | 'from' | 'visible' | 'cursor'>,
  backlogMax: number,
): BehindLog {
  const cursor = known ?? from - 1
  // A window that was closed before the cursor has nothing more.
  const head = Math.max(visible, cursor)
  const gap: MissingEntries | null =
    head - cursor > backlogMax ? { to: head - backlogMax, reason: 'backlog' } : null
  return { log: name, epoch: encodeEpoch(epoch), cursor, head, gap }
}

/** The place of a log that begins the life `epoch` for the session: its reader is told, and goes on from what there is. */
export function placeRestored({ name, visible, cursor }: VisibleLog, epoch: number): BehindLog {
  const to = Math.min(cursor ?? 0, visible)
  const gap: MissingEntries = { to, reason: 'restored' }
  return { log: name, epoch: encodeEpoch(epoch), cursor: Math.max(0, to - 1), head: visible, gap }
}

/** Whether the place has anything to tell the session. */
export const isBehind = ({ head, cursor, gap }: BehindLog): boolean => head > cursor || gap !== null

/** Entries that wait behind a place. */
export const pendingOf = ({ head, cursor, gap }: BehindLog): number => head - (gap?.to ?? cursor)
