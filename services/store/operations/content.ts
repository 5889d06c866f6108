/** Taking the content of a message away: by a recall, at its time, with its author's account, by a moderator. */
import type { UserId } from '../../../protocol/ids.ts'
import type { Transaction } from './transaction.ts'

/** Why a message has no content any more, as its `state.recalled.reason` says. */
export type EmptiedReason = 'recalled' | 'expired' | 'erased' | 'moderated'

/** What hangs on one message and goes with its content. */
const HANGING_ON_A_MESSAGE = ['mention', 'media_use', 'expiry', 'reaction', 'pin'] as const

/**
 * Deletes what hangs on a message whose body was emptied. `log` is the number of the log. Bounded by what one message
 * may carry, except for reactions, which are one per member and emoji.
 */
export async function forgetContent(tx: Transaction, log: number, seq: number): Promise<void> {
  for (const table of HANGING_ON_A_MESSAGE) {
    await tx.query(`delete from ${table} where log = $1 and seq = $2`, [log, seq])
  }
}

/**
 * Empties a message for everybody and for ever; its place in the log stays, and its state says what happened.
 * `log` is the number of the log, which the caller has locked. Appends nothing: that is the caller's to do.
 */
export async function emptyMessage(
  tx: Transaction,
  { log, seq, by, reason }: { log: number; seq: number; by: UserId; reason: EmptiedReason },
): Promise<void> {
  const state = { recalled: { at: tx.now, by, reason } }
  await tx.query(`update entry set body = '{}', state = $3 where log = $1 and seq = $2`, [
    log,
    seq,
    JSON.stringify(state),
  ])
  await forgetContent(tx, log, seq)
}
