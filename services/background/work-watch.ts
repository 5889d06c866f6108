/** Tells the tasks of a process when the store has work for them: one look for all, in place of one for each. */
import type { Logger } from 'pino'
import type { OperationStore } from '../store/contract.ts'
import type { WorkKind } from '../store/operations/waiting-work.ts'
import { startBackgroundTask } from './background-task.ts'

/** How late work may be begun, ms. */
const LOOK_EVERY_MS = 250
const RETRY_MS = 1000

export class WorkWatch implements AsyncDisposable {
  readonly #store: Pick<OperationStore, 'perform'>
  /** Who waits for a kind of work, together. */
  readonly #waiting = new Map<WorkKind, { promise: Promise<void>; resolve: () => void }>()
  readonly #looking: AsyncDisposable

  constructor(store: Pick<OperationStore, 'perform'>, log: Pick<Logger, 'warn'>) {
    this.#store = store
    const step = () => this.#look()
    this.#looking = startBackgroundTask({ name: 'the store is asked for work', step, retryMs: RETRY_MS, log })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#looking[Symbol.asyncDispose]()
  }

  /** Resolves when a look from now on has found such work; never rejects. */
  found(kind: WorkKind): Promise<void> {
    const waiter = this.#waiting.get(kind) ?? Promise.withResolvers<void>()
    this.#waiting.set(kind, waiter)
    return waiter.promise
  }

  async #look(): Promise<number> {
    if (this.#waiting.size === 0) return LOOK_EVERY_MS
    for (const kind of await this.#store.perform({ task: 'findWork', input: {} })) {
      this.#waiting.get(kind)?.resolve()
      this.#waiting.delete(kind)
    }
    return LOOK_EVERY_MS
  }
}
