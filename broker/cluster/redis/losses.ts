/**
 * Doorbells that may be lost: told to this node's listener, and to all nodes where they concern all.
 *
 * Whoever finds a loss says since when, and never when it was found: the last moment, in ms of `performance.now()`, at
 * which nothing was missing. What was committed then is asked for again; a moment that is too early costs some reads,
 * one that is too late a message.
 */
import type { BusCounters } from './bus-counters.ts'

/** Losses that come within this time are one. */
const LOSS_GATHER_MS = 200

export type LossesParts = {
  counters: BusCounters
  /** Doorbells of up to `ageMs` ago may be lost here. */
  onLoss: (ageMs: number) => void
  /** Lets the other nodes know, as soon as Redis takes it. */
  tellOthers: (since: number) => void
}

export class Losses {
  readonly #parts: LossesParts
  #timer: NodeJS.Timeout | null = null
  #since = Number.POSITIVE_INFINITY

  constructor(parts: LossesParts) {
    this.#parts = parts
  }

  here(since: number): void {
    this.#since = Math.min(this.#since, since)
    this.#timer ??= setTimeout(() => {
      const age = Math.ceil(performance.now() - this.#since)
      this.#timer = null
      this.#since = Number.POSITIVE_INFINITY
      this.#parts.counters.losses++
      this.#parts.onLoss(age)
    }, LOSS_GATHER_MS)
  }

  everywhere(since: number): void {
    this.here(since)
    this.#parts.tellOthers(since)
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
  }
}
