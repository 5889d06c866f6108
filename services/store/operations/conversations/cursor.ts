/**
 * The cursor of `conversations.list`: the place of the last item in an order that does not move, which is pinned ones
 * first, then the last activity of each at the time of the first page. `{pinned}.{asOf}.{at}.{log}`, times in base 36.
 */
import { WochatError } from '../../../../protocol/errors.ts'
import { type LogId, parseLog } from '../../../../protocol/ids.ts'

/** A place in the list: pinned ones first, the later active first, then by log. */
export type ListPlace = { pinned: boolean; at: number; log: LogId }

export type ConversationCursor = ListPlace & { asOf: number }

const CURSOR = /^([01])\.([0-9a-z]{1,10})\.([0-9a-z]{1,10})\.(.+)$/

export function encodeCursor({ pinned, asOf, at, log }: ConversationCursor): string {
  return `${pinned ? 1 : 0}.${asOf.toString(36)}.${at.toString(36)}.${log}`
}

/** Throws `bad_request` for what {@link encodeCursor} did not make. */
export function parseCursor(text: string): ConversationCursor {
  const [, pinned, asOf, at, name] = CURSOR.exec(text) ?? []
  const log = name === undefined ? undefined : parseLog(name)?.log
  if (asOf === undefined || at === undefined || log === undefined) {
    throw new WochatError('bad_request', 'cursor: not one of this operation')
  }
  return { pinned: pinned === '1', asOf: Number.parseInt(asOf, 36), at: Number.parseInt(at, 36), log }
}

/** Negative when `a` comes before `b`. */
export function comparePlaces(a: ListPlace, b: ListPlace): number {
  if (a.pinned !== b.pinned) return a.pinned ? -1 : 1
  if (a.at !== b.at) return b.at - a.at
  return a.log < b.log ? -1 : a.log > b.log ? 1 : 0
}
