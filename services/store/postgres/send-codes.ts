/** How the function `commit_sends` has decided a send. */
import type { ErrorCode } from '../../../protocol/errors.ts'

export const ACCEPTED = 0
export const STORED_BEFORE = 1
/** Accepted as an entry that only its author sees. */
export const WITHHELD = 20
/** The same, stored by an earlier send of its id. */
export const WITHHELD_BEFORE = 22
/** Not stored: a transient message, whose seq says whether it may go out. */
export const NOT_STORED = 21

/** By code. `busy`: a right was won between two looks of one commit, and the log is not there yet; the next send makes it. */
const REFUSALS: ReadonlyMap<number, ErrorCode> = new Map([
  [2, 'id_conflict'],
  [3, 'unknown_group'],
  [4, 'not_member'],
  [5, 'unknown_user'],
  [6, 'blocked'],
  [7, 'not_friends'],
  [8, 'busy'],
  [9, 'muted'],
  [10, 'not_admin'],
  [11, 'transient_only'],
  [12, 'account_inactive'],
  [13, 'unknown_entry'],
  [14, 'unknown_media'],
  [23, 'content_refused'],
])

export function refusalOf(code: number): ErrorCode {
  return REFUSALS.get(code) ?? 'internal'
}
