/** Acknowledged messages on their way out of the queues: those of one turn of the event loop in one call. */
import type { PlainStore } from '../../services/store/plain.ts'

export class Settlements {
  readonly #store: PlainStore
  readonly #failed: (error: unknown) => void
  #gathered: { clientId: string; message: number }[] = []
  #last: Promise<void> = Promise.resolve()

  /** A failure leaves the messages queued: their clients get them again, as after a crash. */
  constructor(store: PlainStore, failed: (error: unknown) => void) {
    this.#store = store
    this.#failed = failed
  }

  add(clientId: string, message: number): void {
    if (this.#gathered.length === 0) setImmediate(() => this.flush())
    this.#gathered.push({ clientId, message })
  }

  /** Hands over what is gathered, so that a call of the store that follows sees it. */
  flush(): void {
    if (this.#gathered.length === 0) return
    const settled = this.#gathered
    this.#gathered = []
    this.#last = this.#store.settlePlain(settled).catch(this.#failed)
  }

  async close(): Promise<void> {
    this.flush()
    await this.#last
  }
}
