/**
 * Cursors on their way to the store: gathered, and written in batches of a flush time. Authors hear of what was
 * acknowledged in the same steps, also by devices whose cursors are in memory only.
 */
import type { LogId, UserId } from '../../protocol/ids.ts'
import type { Store } from '../../services/store/contract.ts'
import type { InboxSession } from './inbox-session.ts'
import type { LogPlace } from './log-place.ts'

/** Who tells authors what was delivered. */
export type DeliveryReceipts = {
  /** A device of `uid` has acknowledged a direct log up to `seq`. */
  delivered(uid: UserId, log: LogId, seq: number): void
}

export class CursorWriter {
  readonly #store: Pick<Store, 'saveCursors'>
  readonly #flushMs: number
  readonly #onError: (error: unknown) => void
  readonly #receipts: DeliveryReceipts | null
  readonly #waiting = new Set<LogPlace>()
  #timer: NodeJS.Timeout | null = null

  constructor(
    store: Pick<Store, 'saveCursors'>,
    flushMs: number,
    onError: (error: unknown) => void,
    receipts: DeliveryReceipts | null = null,
  ) {
    this.#store = store
    this.#flushMs = flushMs
    this.#onError = onError
    this.#receipts = receipts
  }

  add(place: LogPlace): void {
    this.#waiting.add(place)
    this.#timer ??= setTimeout(() => this.flush().catch(this.#onError), this.#flushMs)
  }

  isWaiting(place: LogPlace): boolean {
    return this.#waiting.has(place)
  }

  /** Writes the cursors of one session, or of all. A failed write is tried with the next: the cursors are still here. */
  async flush(session?: InboxSession): Promise<void> {
    const places =
      session === undefined ? [...this.#waiting] : [...this.#waiting].filter((l) => l.session === session)
    for (const place of places) this.#waiting.delete(place)
    if (session === undefined && this.#timer !== null) {
      clearTimeout(this.#timer)
      this.#timer = null
    }
    if (places.length === 0) return
    this.#tellAuthors(places)
    const stored = places.filter(({ session: { number } }) => number !== null)
    if (stored.length === 0) return
    try {
      await this.#store.saveCursors(
        stored.map(({ session: { number, generation }, log, cursor, epoch }) => ({
          session: number!,
          generation,
          log,
          seq: cursor,
          epoch,
        })),
      )
    } catch (error) {
      for (const place of stored) this.add(place)
      throw error
    }
  }

  #tellAuthors(places: readonly LogPlace[]): void {
    if (this.#receipts === null) return
    for (const place of places) {
      const { session, log, cursor, isAcked } = place
      place.isAcked = false
      if (isAcked) this.#receipts.delivered(session.uid, log, cursor)
    }
  }
}
