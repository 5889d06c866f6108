/**
 * The store, seen from a worker: everything goes over a channel to the process that has it ({@link file://./host.ts}).
 * What is handed in during one turn leaves as one frame.
 *
 * It keeps the contract of a store of one process: a commit is told before the answer of any later call.
 */
import { serialize } from 'node:v8'
import { type ErrorBody, WochatError } from '../../../protocol/errors.ts'
import { assembleStore, NO_FEED } from '../assemble-store.ts'
import { keepClonable } from '../clonable-calls.ts'
import type { CommitFeed, SendJob, Store, StoreHealth, StoreMetrics } from '../contract.ts'
import { OPERATION_NAMES } from '../sqlite/operation-names.ts'
import type { StoreCalls } from '../sqlite/operations.ts'
import { SendBatch } from '../sqlite/send-batch.ts'
import type { Channel } from './channel.ts'
import { tellFeed } from './feed-packing.ts'
import { encodeFrame, type Frame, readValue } from './frame.ts'
import {
  BATCH,
  type CallMessage,
  type CallResult,
  DECISION_NUMBERS,
  DECISIONS,
  FEED,
  HEALTH,
  RESULTS,
  type Refusal,
} from './messages.ts'

export type RemoteStoreSettings = {
  /** Sends of this process that may wait for a commit before further ones are refused as busy. */
  waitingSendsMax: number
}

/** Calls that may wait for an answer before further ones are refused as busy. */
const WAITING_CALLS_MAX = 100_000
const BUSY_RETRY_MS = 1000

const NO_BYTES = new Uint8Array(0)

type WaitingCall = { resolve: (value: never) => void; reject: (error: Error) => void }

class RemoteStoreClient {
  feed: CommitFeed = NO_FEED
  readonly metrics: StoreMetrics = { commits: 0, entries: 0, waiting: 0, onCommit: null }
  readonly #channel: Channel
  readonly #waitingSendsMax: number
  readonly #jobs = new Map<number, SendJob>()
  readonly #calls = new Map<number, WaitingCall>()
  #gathering = new SendBatch()
  #gatheringCalls: CallMessage[] = []
  #isScheduled = false
  #nextJob = 0
  #nextCall = 1
  #isClosing = false
  #idle: (() => void) | null = null

  constructor(channel: Channel, { waitingSendsMax }: RemoteStoreSettings) {
    this.#channel = channel
    this.#waitingSendsMax = waitingSendsMax
    channel.on(DECISIONS, (frame) => this.#onDecisions(frame))
    channel.on(FEED, (frame) => {
      tellFeed(frame, this.feed)
      return false
    })
    channel.on(RESULTS, (frame) => this.#onResults(frame))
  }

  send(job: SendJob): void {
    if (this.#isClosing || this.#channel.isClosed) job.refused(new WochatError('shutting_down'))
    else if (this.metrics.waiting >= this.#waitingSendsMax) {
      job.refused(new WochatError('busy', undefined, { retryAfterMs: BUSY_RETRY_MS }))
    } else {
      this.metrics.waiting++
      this.#gathering.jobs.push(job)
      this.#schedule()
    }
  }

  call(op: string, input: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#isClosing || this.#channel.isClosed) {
        reject(new WochatError('shutting_down'))
        return
      }
      if (this.#calls.size >= WAITING_CALLS_MAX) {
        reject(new WochatError('busy', undefined, { retryAfterMs: BUSY_RETRY_MS }))
        return
      }
      const id = this.#nextCall++
      this.#calls.set(id, { resolve, reject })
      this.#gatheringCalls.push({ id, op, input, before: this.#gathering.count })
      this.#schedule()
    })
  }

  health(): Promise<StoreHealth> {
    return this.call(HEALTH, null) as Promise<StoreHealth>
  }

  /** Waits for what was handed in; the channel stays. */
  async close(): Promise<void> {
    this.#isClosing = true
    if (this.metrics.waiting === 0 && this.#calls.size === 0) return
    await new Promise<void>((resolve) => {
      this.#idle = resolve
    })
  }

  /** The process of the store is gone: nothing that waits will be answered. */
  channelClosed(): void {
    const error = new WochatError('shutting_down')
    for (const job of [...this.#jobs.values(), ...this.#gathering.jobs]) job.refused(error)
    for (const { reject } of this.#calls.values()) reject(error)
    this.#jobs.clear()
    this.#calls.clear()
    this.#gathering = new SendBatch()
    this.#gatheringCalls = []
    this.metrics.waiting = 0
    this.#idle?.()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    const batch = this.#gathering
    const calls = this.#gatheringCalls
    if (batch.count === 0 && calls.length === 0) return
    this.#gathering = new SendBatch()
    this.#gatheringCalls = []
    const { text, lengths, refused } = batch.pack(calls)
    this.metrics.waiting -= refused
    for (const job of batch.jobs) this.#jobs.set(this.#nextJob++, job)
    this.#channel.write(encodeFrame(BATCH, lengths, text, this.#serialize(calls)))
    if (refused > 0) this.#checkIdle()
  }

  /** Refuses the calls that hold what no other process can have. */
  #serialize(calls: readonly CallMessage[]): Uint8Array {
    if (calls.length === 0) return NO_BYTES
    try {
      return serialize(calls)
    } catch {
      const refuse = ({ id }: CallMessage, error: Error) => {
        this.#calls.get(id)?.reject(error)
        this.#calls.delete(id)
      }
      const kept = keepClonable(calls, serialize, refuse)
      this.#checkIdle()
      return kept.length === 0 ? NO_BYTES : serialize(kept)
    }
  }

  #onDecisions(frame: Frame): boolean {
    const { numbers, bytes } = frame
    const refusals = bytes.length === 0 ? [] : (readValue(frame) as Refusal[])
    let nextRefusal = 0
    for (let at = 0; at < numbers.length; at += DECISION_NUMBERS) {
      const n = numbers[at]!
      const job = this.#jobs.get(n)
      this.#jobs.delete(n)
      this.metrics.waiting--
      const seq = numbers[at + 1]!
      const time = numbers[at + 2]!
      if (time > 0) {
        if (seq > 0) this.metrics.entries++
        job?.accepted(seq, time)
      } else job?.refused(asError(refusals[nextRefusal++]!))
    }
    this.#checkIdle()
    return true
  }

  #onResults(frame: Frame): boolean {
    for (const result of readValue(frame) as CallResult[]) {
      const waiting = this.#calls.get(result.id)
      this.#calls.delete(result.id)
      if ('value' in result) waiting?.resolve(result.value as never)
      else if ('refused' in result) waiting?.reject(asError({ body: result.refused }))
      else waiting?.reject(new Error(result.failed))
    }
    this.#checkIdle()
    return true
  }

  #checkIdle(): void {
    if (this.#idle !== null && this.metrics.waiting === 0 && this.#calls.size === 0) this.#idle()
  }
}

function asError({ body, cause }: { body: ErrorBody; cause?: string }): WochatError {
  return new WochatError(body.code, body.message, {
    ...(body.retryAfterMs !== undefined && { retryAfterMs: body.retryAfterMs }),
    ...(cause !== undefined && { cause: new Error(cause) }),
    details: body.details,
  })
}

/** A store at the other end of a channel, and what to call when that channel has closed. */
export type RemoteStore = { store: Store; channelClosed: () => void }

export function createRemoteStore(channel: Channel, settings: RemoteStoreSettings): RemoteStore {
  const client = new RemoteStoreClient(channel, settings)
  const store = assembleStore<StoreCalls>(client, OPERATION_NAMES)
  return { store, channelClosed: () => client.channelClosed() }
}
