/**
 * Positions in the order of commits that were noted over time, so that what was lost since any moment can be asked for.
 *
 * The last seconds have all of theirs, what is longer ago has fewer: a catch-up reads at most an eighth more than it
 * must. The first is kept, so that there is one before every loss: devices connect after it.
 */
import type { CommitPosition } from '../../services/store/shared-store.ts'

type Noted = { position: CommitPosition; at: number }

/** Positions this far apart are kept while they are young. */
const SPACING_MIN_MS = 2000
/** Older ones may be this part of their age apart; some 200 cover a year. */
const SPACING_SHARE = 1 / 8

export class Positions {
  /** The oldest first. */
  #noted: Noted[]

  /** Times are ms of one monotonic clock. `first`: before anything could be lost. */
  constructor(first: CommitPosition, at: number) {
    this.#noted = [{ position: first, at }]
  }

  get size(): number {
    return this.#noted.length
  }

  /** `at`: before the position was asked for. */
  note(position: CommitPosition, at: number): void {
    this.#noted.push({ position, at })
    this.#thinOut(at)
  }

  /** The youngest that is as old as `since`; else the first. */
  before(since: number): CommitPosition {
    return (this.#noted.findLast(({ at }) => at <= since) ?? this.#noted[0]!).position
  }

  /** One goes where its neighbours are close enough to each other for their age. */
  #thinOut(now: number): void {
    const kept: Noted[] = []
    for (const [i, noted] of this.#noted.entries()) {
      const next = this.#noted[i + 1]
      const last = kept.at(-1)
      const isNeeded =
        last === undefined ||
        next === undefined ||
        next.at - last.at > Math.max(SPACING_MIN_MS, (now - next.at) * SPACING_SHARE)
      if (isNeeded) kept.push(noted)
    }
    this.#noted = kept
  }
}
