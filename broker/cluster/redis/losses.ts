/** Doorbells that may be lost: told to this node's listener, and to all nodes where they concern all. */
import type { BusCounters } from './bus-counters.ts'

/** Losses that come within this time are one. */
const LOSS_GATHER_MS = 200

export type LossesParts = {
  counters: BusCounters
  /** Doorbells of commits of up to `ageMs` ago may be lost here. */
  onLoss: (ageMs: number) => void
  /** Says so to the other nodes; resolves with whether it left. */
  tellAll: (ageMs: number) => Promise<boolean>
}

export class Losses {
  readonly #parts: LossesParts
  #timer: NodeJS.Timeout | null = null
  /** Since then, here and (not told yet) on all nodes; by `performance.now()`. */
  #since = Number.POSITIVE_INFINITY
  #untoldSince = Number.POSITIVE_INFINITY

  constructor(parts: LossesParts) {
    this.#parts = parts
  }

  here(ageMs = 0): void {
    this.#since = Math.min(this.#since, performance.now() - ageMs)
    this.#timer ??= setTimeout(() => {
      const age = Math.ceil(performance.now() - this.#since)
      this.#timer = null
      this.#since = Number.POSITIVE_INFINITY
      this.#parts.counters.losses++
      this.#parts.onLoss(age)
    }, LOSS_GATHER_MS)
  }

  everywhere(ageMs: number): void {
    this.here(ageMs)
    this.#untoldSince = Math.min(this.#untoldSince, performance.now() - ageMs)
    void this.tell()
  }

  /** Tells the other nodes what could not be told before. */
  async tell(): Promise<void> {
    const since = this.#untoldSince
    if (since === Number.POSITIVE_INFINITY) return
    this.#untoldSince = Number.POSITIVE_INFINITY
    const isTold = await this.#parts.tellAll(Math.ceil(performance.now() - since))
    if (!isTold) this.#untoldSince = Math.min(this.#untoldSince, since)
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
  }
}
