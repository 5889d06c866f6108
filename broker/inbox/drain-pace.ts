/**
 * When a drain reads on. A read of the store per PUBACK would cost more than the entries, so with less than half of the
 * window free some more PUBACKs are waited for; but not long, because a device may keep the rest of its window to itself.
 */

/** A fraction of what a device feels. */
const DELAY_MS = 3

export class DrainPace {
  readonly #pump: () => void
  #timer: NodeJS.Timeout | null = null
  #hasWaited = false

  /** `pump` is called when the wait is over. */
  constructor(pump: () => void) {
    this.#pump = pump
  }

  /** Whether to read now, with `room` entries free and `unacked` on their way; else {@link pump} follows. */
  mayRead(room: number, unacked: number): boolean {
    if (room >= unacked || this.#hasWaited) {
      this.#hasWaited = false
      return true
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.#hasWaited = true
      this.#pump()
    }, DELAY_MS)
    return false
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#hasWaited = false
  }
}
