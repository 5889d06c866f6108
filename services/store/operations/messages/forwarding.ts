/** Messages that somebody forwards, as they see them. */
import { WochatError } from '../../../../protocol/errors.ts'
import type { UserId } from '../../../../protocol/ids.ts'
import type { Caller } from '../../contract.ts'
import { getReadable } from '../entries/access.ts'
import { EntryReader } from '../entries/reading.ts'
import type { Transaction } from '../transaction.ts'

/** More than the largest messages of one call have together: their number is the bound. */
const BYTES_MAX = 64 * 1024 * 1024

export type Origin = { from: UserId; at: number; type: string; body: Record<string, unknown> }

export const forwardingTasks = {
  /**
   * Messages with their content, in the order of the log. Refuses `unknown_log`, `unknown_entry` when the caller does not
   * see the content of one of them, `recalled`, and `forbidden` for one that destroys itself.
   */
  async readOrigins(
    tx: Transaction,
    { caller, log, seqs }: { caller: Caller; log: string; seqs: readonly number[] },
  ): Promise<Origin[]> {
    const readable = await getReadable(tx, caller, log)
    const limits = { entriesMax: seqs.length, bytesMax: BYTES_MAX, filter: null }
    const entries = await new EntryReader(tx, readable, limits).pick(seqs)
    const messages = entries.filter(({ kind }) => kind === 'message')
    if (messages.length < seqs.length) throw new WochatError('unknown_entry')
    return messages.map(({ from, at, type, body, state }) => {
      if (state?.recalled !== undefined) throw new WochatError('recalled')
      if (state?.edited?.unseen === true) throw new WochatError('unknown_entry')
      const content = body as Record<string, unknown>
      if (content.expire !== undefined) {
        throw new WochatError('forbidden', 'a message that destroys itself is not forwarded')
      }
      return { from: from as UserId, at, type, body: content }
    })
  },
}
