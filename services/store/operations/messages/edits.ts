/**
 * Editing and recalling messages. Both change the row of the message, so that history shows how it stands, and append
 * an entry, so that devices learn of it; the order of these entries is the order of what was done.
 */
import { WochatError } from '../../../../protocol/errors.ts'
import { assertOwnWords, checkBody } from '../../../../protocol/message-types.ts'
import type { Caller } from '../../contract.ts'
import { getMessage, getWholeMessage, lockReadable, type Message } from '../entries/access.ts'
import { emptyMessage, replaceContent } from '../entries/content.ts'
import type { StoredOperations } from '../stored.ts'
import type { Transaction } from '../transaction.ts'
import { getRight, mayModerate } from './rights.ts'

/** Fields of a body that an edit leaves as they are: what the message answers, when it ends. */
const KEPT_FIELDS = ['replyTo', 'expire'] as const

export const editOperations: StoredOperations<'messages.edit' | 'messages.recall'> = {
  async 'messages.edit'(tx, { caller, log, seq, body, count: seen }) {
    const readable = await lockReadable(tx, caller, log)
    const message = await getWholeMessage(tx, readable, seq)
    if (message.author !== readable.account) throw new WochatError('not_author')
    const right = await getRight(tx, caller, readable, 'write')
    assertInTime(message, tx.policy.editWindowMs, tx.now)
    const edits = message.state.edited?.count ?? 0
    if (seen !== undefined && seen !== edits) {
      throw new WochatError('edit_conflict', undefined, { details: { count: edits } })
    }
    const old = JSON.parse(message.body)
    if (old.forwarded !== undefined) {
      throw new WochatError('not_author', 'a forwarded message stays as its author wrote it')
    }
    assertOwnWords(message.type, body)
    const edited = withKeptFields(body, old)
    const marks = checkBody(message.type, edited)
    const result = { at: tx.now, count: edits + 1 }
    // To who is blocked without knowing it, a message that had arrived before looks edited until they look again.
    if (right === 'withheld' && !message.isWithheld) return result
    await replaceContent(tx, { caller, log: readable.log, message, body: edited, marks })
    return result
  },

  async 'messages.recall'(tx, { caller, log, seq }) {
    const readable = await lockReadable(tx, caller, log)
    const message = await getMessage(tx, readable, seq)
    if (!readable.isOpen) throw new WochatError('not_member')
    const isAuthor = message.author === readable.account
    const moderates = await mayModerate(tx, readable)
    if (!isAuthor && !moderates) throw new WochatError('not_author')
    if (message.state.recalled !== undefined) return {}
    if (!moderates) assertInTime(message, tx.policy.recallWindowMs, tx.now)
    await emptyMessage(tx, { log: readable.log.n, seq, by: caller.uid, reason: 'recalled' })
    if (!message.isWithheld) await tellRecall(tx, caller, readable.log.name, seq)
    return {}
  },
}

function assertInTime({ at }: Message, windowMs: number, now: number): void {
  if (windowMs <= 0 || now - at <= windowMs) return
  throw new WochatError('too_late', `the message is older than ${windowMs} ms`, { details: { windowMs } })
}

function withKeptFields(
  body: Record<string, unknown>,
  old: Record<string, unknown>,
): Record<string, unknown> {
  const kept = new Map(Object.entries(body))
  for (const field of KEPT_FIELDS) {
    if (Object.hasOwn(old, field)) kept.set(field, old[field])
    else kept.delete(field)
  }
  return Object.fromEntries(kept)
}

/** Tells everybody in the log that a message has no content any more. */
export async function tellRecall(
  tx: Transaction,
  { uid, device }: Caller,
  log: Parameters<Transaction['append']>[0],
  seq: number,
): Promise<void> {
  await tx.append(log, { kind: 'recall', uid, device, type: 'recalled', body: { seq, by: uid } })
}
