/** Pinned messages of a conversation, which everybody in it sees. */
import { WochatError } from '../../../../protocol/errors.ts'
import { logKind, type UserId } from '../../../../protocol/ids.ts'
import { PINS_MAX } from '../../../../protocol/limits.ts'
import { ANSWER_BYTES_MAX } from '../../answer-bytes.ts'
import type { Caller } from '../../contract.ts'
import {
  canSee,
  deletedOf,
  getReadable,
  getWholeMessage,
  lockReadable,
  type Readable,
} from '../entries/access.ts'
import { EntryReader } from '../entries/reading.ts'
import type { StoredOperations } from '../stored.ts'
import type { Transaction } from '../transaction.ts'
import { getRight } from './rights.ts'

type PinRow = { seq: number; by: UserId; at: number }

export const pinOperations: StoredOperations<'messages.pin' | 'messages.unpin' | 'messages.pins'> = {
  async 'messages.pin'(tx, { caller, log, seq }) {
    const readable = await lockReadable(tx, caller, log)
    const message = await getWholeMessage(tx, readable, seq)
    const right = await getRight(tx, caller, readable, 'pin')
    const pins = await pinsOf(tx, readable)
    if (pins.some((pin) => pin.seq === seq) || right === 'withheld') return {}
    if (message.isWithheld) throw new WochatError('unknown_entry')
    if (pins.length >= PINS_MAX) throw new WochatError('too_many_pins')
    await tx.query('insert into pin (log, seq, pinned_by, pinned_at) values ($1, $2, $3, $4)', [
      readable.log.n,
      seq,
      readable.account,
      tx.now,
    ])
    await tell(tx, caller, readable, 'pinned', seq)
    return {}
  },

  async 'messages.unpin'(tx, { caller, log, seq }) {
    const readable = await lockReadable(tx, caller, log)
    const right = await getRight(tx, caller, readable, 'pin')
    const pins = await pinsOf(tx, readable)
    if (!pins.some((pin) => pin.seq === seq) || right === 'withheld') return {}
    await tx.query('delete from pin where log = $1 and seq = $2', [readable.log.n, seq])
    await tell(tx, caller, readable, 'unpinned', seq)
    return {}
  },

  async 'messages.pins'(tx, { caller, log }) {
    const readable = await getReadable(tx, caller, log)
    // Who has left is not told what the others pin.
    if (!readable.isOpen) return { items: [] }
    const pins = await seenBy(tx, readable, await pinsOf(tx, readable))
    const limits = { entriesMax: pins.length, bytesMax: ANSWER_BYTES_MAX, filter: null }
    const entries = await new EntryReader(tx, readable, limits).pick(pins.map(({ seq }) => seq))
    const bySeq = new Map(entries.map((entry) => [entry.seq, entry]))
    return {
      items: pins.map((pin) => {
        const entry = bySeq.get(pin.seq)
        return { ...pin, ...(entry !== undefined && { entry }) }
      }),
    }
  },
}

/** The last pinned first. */
function pinsOf(tx: Transaction, { log }: Readable): Promise<PinRow[]> {
  return tx.query<PinRow>(
    `select pin.seq, account.uid as by, pin.pinned_at as at from pin join account on account.n = pin.pinned_by
     where pin.log = $1 order by pin.pinned_at desc, pin.seq desc limit $2`,
    [log.n, PINS_MAX],
  )
}

/** Without those of messages that are not for the person, or that they deleted for themselves. */
async function seenBy(tx: Transaction, readable: Readable, pins: readonly PinRow[]): Promise<PinRow[]> {
  const deleted = await deletedOf(
    tx,
    readable,
    pins.map(({ seq }) => seq),
  )
  return pins.filter(({ seq }) => canSee(readable, seq) && !deleted.has(seq))
}

/** An event of the group, or of the two; no message, so that it is not unread. */
async function tell(
  tx: Transaction,
  { uid, device }: Caller,
  { log: { name } }: Readable,
  type: 'pinned' | 'unpinned',
  seq: number,
): Promise<void> {
  const kind = logKind(name) === 'group' ? 'group' : 'notice'
  await tx.append(name, { kind, uid, device, type, body: { seq } })
}
