/** The time, read some times a second instead of some times a packet; for timeouts, not for `at`. */
const EVERY_MS = 50

export class Clock {
  now = Date.now()
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#timer = setInterval(() => {
      this.now = Date.now()
    }, EVERY_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
