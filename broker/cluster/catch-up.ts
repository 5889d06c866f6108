/**
 * What doorbells would have said, asked of the store: after a lost one, a lost bus, or the death of a node that may
 * have committed without ringing.
 *
 * While all is well a position in the order of commits follows at a distance. A catch-up starts there, so that it
 * holds everything since before the loss was noticed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { CommitPosition, SharedStore, StoreChanges } from '../../services/store/shared-store.ts'

/** The position that a catch-up starts from is one to two of these old; a loss is noticed sooner (ADR 5). */
const POSITION_EVERY_MS = 10_000
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
  #older: CommitPosition = ''
  #newer: CommitPosition = ''
  #isDue = false
  #running: Promise<void> | null = null
  /** Catch-ups that were run. */
  runs = 0

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Takes the first position. */
  async open(): Promise<void> {
    this.#older = this.#newer = await this.#parts.store.position()
    this.#follow().catch(() => {})
  }

  /** Doorbells may have been lost until now. */
  start(): void {
    this.#isDue = true
    this.#running ??= this.#run().finally(() => {
      this.#running = null
      if (this.#isDue && !this.#stop.signal.aborted) this.start()
    })
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #follow(): Promise<void> {
    for (;;) {
      await sleep(POSITION_EVERY_MS, undefined, { signal: this.#stop.signal, ref: false })
      if (this.#running !== null) continue
      try {
        const position = await this.#parts.store.position()
        if (this.#running !== null) continue
        this.#older = this.#newer
        this.#newer = position
      } catch {
        // The store is away: the old position stays, and is only further back.
      }
    }
  }

  async #run(): Promise<void> {
    while (this.#isDue && !this.#stop.signal.aborted) {
      await this.#pause(GATHER_MS)
      this.#isDue = false
      try {
        await this.#catchUp()
        this.runs++
      } catch (error) {
        this.#parts.log.warn({ err: error }, 'the catch-up failed; it is tried again')
        this.#isDue = true
        await this.#pause(RETRY_MS)
      }
    }
  }

  async #catchUp(): Promise<void> {
    let since = this.#older
    for (;;) {
      const { changes, next, isLast } = await this.#parts.store.changesSince({ since, rowsMax: ROWS_MAX })
      if (this.#stop.signal.aborted) return
      this.#parts.apply(changes)
      since = next
      if (isLast) break
    }
    this.#older = this.#newer = since
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => {})
  }
}
