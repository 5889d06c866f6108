/** Acknowledged messages on their way out of the queues: those of one turn of the event loop in one call. */
import type { PlainStore } from '../../services/store/plain.ts'

type Settled = { clientId: string; generation: number | null; message: number }

export class Settlements {
  readonly #store: PlainStore
  readonly #failed: (error: unknown) => void
  readonly #isAlone: boolean
  #gathered: Settled[] = []
  #last: Promise<void> = Promise.resolve()

  /**
   * A failure leaves the messages queued: their clients get them again, as after a crash. Not `isAlone`: other nodes
   * write to the store, too, where each call is a transaction, so that one goes after the other.
   */
  constructor(store: PlainStore, isAlone: boolean, failed: (error: unknown) => void) {
    this.#store = store
    this.#isAlone = isAlone
    this.#failed = failed
  }

  add(settled: Settled): void {
    if (this.#gathered.length === 0) {
      setImmediate(() => {
        if (this.#isAlone) void this.flush()
        else void this.#last.then(() => this.flush())
      })
    }
    this.#gathered.push(settled)
  }

  /** Hands over what is gathered, so that a call of the same store that follows sees it. Resolves when it is done. */
  flush(): Promise<void> {
    if (this.#gathered.length === 0) return this.#last
    const settled = this.#gathered
    this.#gathered = []
    const before = this.#last
    const done = this.#store.settlePlain(settled).catch(this.#failed)
    this.#last = Promise.all([before, done]).then(() => {})
    return this.#last
  }

  close(): Promise<void> {
    return this.flush()
  }
}
