/** The reading thread, seen from the event loop. It starts with the first call that it is for. */
import { Worker } from 'node:worker_threads'
import type { OperationName } from '../../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../../protocol/errors.ts'
import type { StoredCall } from '../contract.ts'
import type { CallResult, ReaderSettings, ReadMessage } from './messages.ts'

/**
 * Operations that may take long, and whose answer is behind the log anyway: the index of searches follows it, so that
 * nobody can tell whether entries that wait in the journal were looked at.
 */
const READ_APART: ReadonlySet<OperationName> = new Set<OperationName>(['messages.search'])
/** Calls that wait for the one thread, each for some ms to some hundred; above, further ones are refused as busy. */
const CALLS_MAX = 100

export class ReaderClient {
  readonly #settings: ReaderSettings
  readonly #onFatal: (error: Error) => void
  readonly #pending = new Map<number, PromiseWithResolvers<CallResult>>()
  #worker: Worker | null = null
  #nextId = 1

  constructor(settings: ReaderSettings, onFatal: (error: Error) => void) {
    this.#settings = settings
    this.#onFatal = onFatal
  }

  /** What is no call fails where calls do. */
  takes(call: StoredCall | null): boolean {
    return call !== null && READ_APART.has(call.name)
  }

  /** Rejects with `busy`, or when the call holds what no other thread can have. */
  async call(call: StoredCall): Promise<CallResult> {
    if (this.#pending.size >= CALLS_MAX) throw new WochatError('busy', undefined, { retryAfterMs: 1000 })
    this.#worker ??= this.#start()
    const id = this.#nextId++
    this.#worker.postMessage({ id, call } satisfies ReadMessage)
    const answer = Promise.withResolvers<CallResult>()
    this.#pending.set(id, answer)
    return answer.promise
  }

  /** What waits is refused: it changes nothing, and may be asked again elsewhere. Nothing may be asked after it. */
  async close(): Promise<void> {
    for (const { reject } of this.#pending.values()) reject(new WochatError('shutting_down'))
    this.#pending.clear()
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(new URL('./reader.ts', import.meta.url), { workerData: this.#settings })
    worker.on('message', (result: CallResult) => this.#settle(result))
    worker.on('error', (error) => this.#onFatal(error as Error))
    return worker
  }

  #settle(result: CallResult): void {
    this.#pending.get(result.id)?.resolve(result)
    this.#pending.delete(result.id)
  }
}
