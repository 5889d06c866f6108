/** The test's end of a store in another process ({@link file://./store-process.ts}). */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type ErrorBody, WochatError } from '../../../protocol/errors.ts'
import type { SendJob } from '../../../services/store/contract.ts'
import type { StoreCalls } from '../../../services/store/sqlite/operations.ts'
import type { StoreEngine } from './engine.ts'

export type PlainSend = Omit<SendJob, 'accepted' | 'refused'>

export type StoreRequest =
  | { kind: 'call'; n: number; op: keyof StoreCalls; input: unknown }
  | { kind: 'send'; n: number; send: PlainSend }

export type StoreResponse = { n: number; value: unknown } | { n: number; refused: ErrorBody }

type Waiting = { resolve: (value: never) => void; reject: (error: Error) => void }

const PROGRAM = fileURLToPath(new URL('./store-process.ts', import.meta.url))

export class RemoteStore implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #next = 1

  static async spawn(engine: StoreEngine): Promise<RemoteStore> {
    const child = fork(PROGRAM, [engine.module, engine.location], { serialization: 'advanced', execArgv: [] })
    await once(child, 'message')
    return new RemoteStore(child)
  }

  private constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (response) => this.#settle(response as StoreResponse))
    child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the process is gone'))
    })
  }

  call<Name extends keyof StoreCalls>(
    op: Name,
    ...[input]: Parameters<StoreCalls[Name]>
  ): ReturnType<StoreCalls[Name]> {
    return this.#request((n) => ({ kind: 'call', n, op, input })) as ReturnType<StoreCalls[Name]>
  }

  send(send: PlainSend): Promise<{ seq: number; at: number }> {
    return this.#request((n) => ({ kind: 'send', n, send })) as Promise<{ seq: number; at: number }>
  }

  /** SIGKILL: no handler runs, nothing is flushed. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }

  #request(build: (n: number) => StoreRequest): Promise<unknown> {
    const n = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(n, { resolve, reject })
      this.#child.send(build(n), (error) => {
        if (error) reject(error)
      })
    })
  }

  #settle(response: StoreResponse): void {
    const waiting = this.#waiting.get(response.n)
    this.#waiting.delete(response.n)
    if ('value' in response) waiting?.resolve(response.value as never)
    else waiting?.reject(new WochatError(response.refused.code, response.refused.message))
  }
}
