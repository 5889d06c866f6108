/**
 * Work that nodes share out by leases of the store: each piece is done by one node at a time, and a node does several at
 * once. A node may die at any moment; another takes its pieces over when their lease ends.
 */
import type { Logger } from 'pino'
import { startBackgroundTask } from './background-task.ts'

/** After a look that failed. */
const RETRY_MS = 1000

type Leases = {
  /** For the log: `broadcasts are sent`. */
  name: string
  /** Resolves when pieces wait. */
  waits: () => Promise<void>
  /** Takes what waits; resolves with what is held here now, pieces under way among them. */
  lease: () => Promise<readonly string[]>
  /** Does what there is to do for a piece, and gives it back. Ends early, and soon, when the signal says so. */
  work: (id: string, signal: AbortSignal) => Promise<void>
  log: Pick<Logger, 'warn'>
}

export class LeasedWork implements AsyncDisposable {
  readonly #leases: Leases
  readonly #stop = new AbortController()
  /** Pieces under way. */
  readonly #running = new Map<string, Promise<void>>()
  readonly #looking: AsyncDisposable

  constructor(leases: Leases) {
    this.#leases = leases
    const { name, waits, log } = leases
    this.#looking = startBackgroundTask({
      name,
      step: () => this.#look(),
      work: waits,
      retryMs: RETRY_MS,
      log,
    })
  }

  /** Resolves when nothing is under way any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#looking[Symbol.asyncDispose]()
    await Promise.all(this.#running.values())
  }

  async #look(): Promise<'idle'> {
    for (const id of await this.#leases.lease()) {
      if (this.#running.has(id)) continue
      this.#running.set(
        id,
        this.#work(id).then(() => void this.#running.delete(id)),
      )
    }
    return 'idle'
  }

  /** What fails is tried again when it is leased again. */
  async #work(id: string): Promise<void> {
    const { name, work, log } = this.#leases
    const { signal } = this.#stop
    try {
      await work(id, signal)
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error, task: name, id }, 'a piece of work is tried again')
    }
  }
}
