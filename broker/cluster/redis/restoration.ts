/** Writes into Redis again what this node has there, once somebody believes that it may be gone; one run at a time. */

export type RestorationParts = {
  isReady: () => boolean
  /** Resolves with whether Redis has answered for all of it. */
  restore: () => Promise<boolean>
}

export class Restoration {
  readonly #parts: RestorationParts
  #isWanted = false
  #isRunning = false
  #isClosed = false

  constructor(parts: RestorationParts) {
    this.#parts = parts
  }

  want(): void {
    this.#isWanted = true
  }

  /** Nobody believes that anything is gone. */
  get isDone(): boolean {
    return !this.#isWanted && !this.#isRunning
  }

  /** While Redis is away, or if it does not answer for all, the want stays. */
  async run(): Promise<void> {
    if (!this.#isWanted || this.#isRunning || this.#isClosed || !this.#parts.isReady()) return
    this.#isWanted = false
    this.#isRunning = true
    try {
      if (!(await this.#parts.restore())) this.#isWanted = true
    } catch {
      this.#isWanted = true
    } finally {
      this.#isRunning = false
    }
  }

  close(): void {
    this.#isClosed = true
  }
}
