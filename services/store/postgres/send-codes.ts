/** How the function `commit_sends` has decided a send. */
import type { ErrorCode } from '../../../protocol/errors.ts'

export const ACCEPTED = 0
export const STORED_BEFORE = 1

/** By code. `busy`: a right was won between two looks of one commit, and the log is not there yet; the next send makes it. */
const REFUSALS: ReadonlyMap<number, ErrorCode> = new Map([
  [2, 'id_conflict'],
  [3, 'unknown_group'],
  [4, 'not_member'],
  [5, 'unknown_user'],
  [6, 'blocked'],
  [7, 'not_friends'],
  [8, 'busy'],
])

export function refusalOf(code: number): ErrorCode {
  return REFUSALS.get(code) ?? 'internal'
}
