/**
 * What doorbells would have said, asked of the store: after a lost one, a lost bus, or the death of a node that may
 * have committed without ringing.
 *
 * Positions in the order of commits are noted now and then, and kept for as long as the node lives. A catch-up starts at
 * one that is older than the loss, so that it holds everything since.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { SharedStore, StoreChanges } from '../../services/store/shared-store.ts'
import { Positions } from './positions.ts'

const POSITION_EVERY_MS = 2000
/**
 * A doorbell leaves at most this long after its commit, or its sender tells how old what it could not ring is: routes
 * are read and a batch is published within 2 s each, and items of a dead fan-out worker are taken over within 8 s.
 */
const RING_DELAY_MS = 10_000
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
  readonly #positions: Positions
  /** Commits since then may have rung nobody here, by `performance.now()`; Infinity when all have. */
  #lostSince = Number.POSITIVE_INFINITY
  #running: Promise<void> | null = null
  /** Catch-ups that were run. */
  runs = 0

  /** Before any device of this node is connected. */
  static async open(parts: Parts): Promise<CatchUp> {
    const at = performance.now()
    const catchUp = new CatchUp(parts, new Positions(await parts.store.position(), at))
    catchUp.#follow().catch(() => {})
    return catchUp
  }

  private constructor(parts: Parts, positions: Positions) {
    this.#parts = parts
    this.#positions = positions
  }

  /** Doorbells that left within the last `ageMs` may have been lost. */
  start(ageMs: number): void {
    this.#lostSince = Math.min(this.#lostSince, performance.now() - ageMs - RING_DELAY_MS)
    this.#running ??= this.#run()
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
    this.#positions.note(await this.#parts.store.position(), at)
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
    this.#running = null
  }

  async #catchUp(lostSince: number): Promise<void> {
    let since = this.#positions.before(lostSince)
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
