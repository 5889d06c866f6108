/**
 * What doorbells would have said, asked of the store: after a lost one, a lost bus, or the death of a node that may
 * have committed without ringing.
 *
 * Positions in the order of commits are noted now and then. A catch-up starts at one that is older than the loss, so
 * that it holds everything since.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { CommitPosition, SharedStore, StoreChanges } from '../../services/store/shared-store.ts'

const POSITION_EVERY_MS = 2000
/** 90 seconds of them. */
const POSITIONS_MAX = 45
/** How old a loss may be when it is noticed, unless its finder knows: a dead node's lease has to end. */
const LOSS_AGE_MS = 20_000
const ROWS_MAX = 1000
/** Losses noticed within this are one catch-up. */
const GATHER_MS = 50
const RETRY_MS = 500

type Parts = {
  store: Pick<SharedStore, 'position' | 'changesSince'>
  /** Takes what was found; some of it was known. */
  apply: (changes: StoreChanges) => void
  log: Pick<Logger, 'warn' | 'info'>
}

export class CatchUp {
  readonly #parts: Parts
  readonly #stop = new AbortController()
  /** The oldest first; `at` by `performance.now()`. */
  readonly #positions: { position: CommitPosition; at: number }[] = []
  /** Doorbells since then may be lost; Infinity when none are. */
  #lostSince = Number.POSITIVE_INFINITY
  #running: Promise<void> | null = null
  /** Catch-ups that were run. */
  runs = 0

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Takes the first position. */
  async open(): Promise<void> {
    await this.#note()
    this.#follow().catch(() => {})
  }

  /** Doorbells of the last `ageMs` may have been lost. */
  start(ageMs = LOSS_AGE_MS): void {
    this.#lostSince = Math.min(this.#lostSince, performance.now() - ageMs)
    this.#running ??= this.#run().finally(() => {
      this.#running = null
    })
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #follow(): Promise<void> {
    for (;;) {
      await sleep(POSITION_EVERY_MS, undefined, { signal: this.#stop.signal, ref: false })
      // While the store is away the positions stay, and are only further back.
      await this.#note().catch(() => {})
    }
  }

  async #note(): Promise<void> {
    const at = performance.now()
    this.#positions.push({ position: await this.#parts.store.position(), at })
    if (this.#positions.length > POSITIONS_MAX) this.#positions.shift()
  }

  async #run(): Promise<void> {
    while (this.#lostSince !== Number.POSITIVE_INFINITY && !this.#stop.signal.aborted) {
      await this.#pause(GATHER_MS)
      const since = this.#lostSince
      this.#lostSince = Number.POSITIVE_INFINITY
      try {
        await this.#catchUp(since)
        this.runs++
      } catch (error) {
        this.#parts.log.warn({ err: error }, 'the catch-up failed; it is tried again')
        this.#lostSince = Math.min(this.#lostSince, since)
        await this.#pause(RETRY_MS)
      }
    }
  }

  async #catchUp(lostSince: number): Promise<void> {
    const before = this.#positions.findLast(({ at }) => at <= lostSince) ?? this.#positions[0]!
    let since = before.position
    for (;;) {
      const { changes, next, isLast } = await this.#parts.store.changesSince({ since, rowsMax: ROWS_MAX })
      if (this.#stop.signal.aborted) return
      this.#parts.apply(changes)
      if (isLast) return
      since = next
    }
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => {})
  }
}
