/**
 * Receipts of delivery on their way to authors at other nodes: a bounded number at a time, because a device that comes
 * back acknowledges all its conversations at once. What waits for its turn is one a conversation, the newest.
 */
import type { LogId, UserId } from '../../protocol/ids.ts'
import type { LiveDelivery } from './live-delivery.ts'

type Delivered = { kind: 'delivered'; from: UserId; log: LogId; seq: number }

const TURN_MS = 250
const TOLD_EACH_TURN = 250
/** Conversations whose authors wait: what 80 turns tell. Above, those that waited longest are given up. */
export const RECEIPTS_WAITING_MAX = 20_000

export class PacedReceipts implements Disposable {
  /** Given up, because too many waited. Whoever missed one asks for the receipts of the store. */
  dropped = 0
  readonly #delivery: Pick<LiveDelivery, 'toUserElsewhere'>
  /** By who got something and the log. */
  readonly #waiting = new Map<string, { to: UserId; event: Delivered }>()
  #left = TOLD_EACH_TURN
  #timer: NodeJS.Timeout | null = null

  constructor(delivery: Pick<LiveDelivery, 'toUserElsewhere'>) {
    this.#delivery = delivery
  }

  tell(to: UserId, event: Delivered): void {
    const key = `${event.from} ${event.log}`
    const waiting = this.#waiting.get(key)
    // Another device of theirs may have got less.
    if (waiting === undefined) this.#waiting.set(key, { to, event })
    else if (waiting.event.seq < event.seq) waiting.event = event
    if (this.#waiting.size > RECEIPTS_WAITING_MAX) {
      this.#waiting.delete(this.#waiting.keys().next().value!)
      this.dropped++
    }
    this.#tellSome()
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #tellSome(): void {
    for (const [key, { to, event }] of this.#waiting) {
      if (this.#left === 0) break
      this.#left--
      this.#waiting.delete(key)
      this.#delivery.toUserElsewhere(to, event)
    }
    this.#timer ??= setTimeout(() => this.#beginTurn(), TURN_MS).unref()
  }

  #beginTurn(): void {
    this.#timer = null
    this.#left = TOLD_EACH_TURN
    if (this.#waiting.size > 0) this.#tellSome()
  }
}
