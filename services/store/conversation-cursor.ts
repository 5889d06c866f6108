/**
 * The cursor of `conversations.list`: the place of the last item in an order that does not move, which is the last
 * activity of each conversation at the time of the first page. `{asOf}.{at}.{log}`, times in base 36.
 */
import { WochatError } from '../../protocol/errors.ts'
import { type LogId, parseLog } from '../../protocol/ids.ts'

/** A place in the list: the later active comes first, then by log. */
export type ListPlace = { at: number; log: LogId }

export type ConversationCursor = ListPlace & { asOf: number }

const CURSOR = /^([0-9a-z]{1,10})\.([0-9a-z]{1,10})\.(.+)$/

export function encodeCursor({ asOf, at, log }: ConversationCursor): string {
  return `${asOf.toString(36)}.${at.toString(36)}.${log}`
}

/** Throws `bad_request` for what {@link encodeCursor} did not make. */
export function parseCursor(text: string): ConversationCursor {
  const [, asOf, at, name] = CURSOR.exec(text) ?? []
  const log = name === undefined ? undefined : parseLog(name)?.log
  if (asOf === undefined || at === undefined || log === undefined) {
    throw new WochatError('bad_request', 'cursor: not one of this operation')
  }
  return { asOf: Number.parseInt(asOf, 36), at: Number.parseInt(at, 36), log }
}

export function isAfter(item: ListPlace, place: ListPlace): boolean {
  return item.at === place.at ? item.log > place.log : item.at < place.at
}
