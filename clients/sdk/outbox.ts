/**
 * Requests on their way to the server: sends and calls that wait for their answer.
 *
 * A request is `waiting` until the connection has room for it, then `sent` until its answer. A retryable refusal
 * makes a call `delayed` for a while and then `waiting` again; of a send it makes all sends wait for a while. When the connection drops, every sent request waits for
 * the next one under the same id, except those that the server would not recognise: they fail as `disconnected`.
 * A request ends by its answer, or after its own timeout.
 */
import { WochatError } from '../../protocol/errors.ts'
import { ClientError } from './errors.ts'

/** Requests without an answer, of all states. */
const REQUESTS_MAX = 4096
/** PUBLISHes without a PUBACK; a lower Receive Maximum of the server counts. */
export const IN_FLIGHT_MAX = 64
/** How long the reply may be behind the PUBACK that refused: it says more. */
const REPLY_GRACE_MS = 1000
const RETRY_MS = 500

export type Publisher = {
  readonly inFlightMax: number
  /** `settled` comes with the PUBACK, or never when the connection drops. */
  publish(topic: string, payload: string, settled: (refusal: WochatError | null) => void): void
}

export type OutgoingRequest = {
  /** What the answer names: `id` of a send, `ref` of a call. */
  key: string
  topic: string
  payload: string
  /** A send: those behind it must not overtake it when it is refused for a while. */
  ordered: boolean
  /** The server recognises it when it comes again. */
  repeatable: boolean
  timeoutMs: number
}

type Pending = OutgoingRequest & {
  state: 'waiting' | 'sent' | 'delayed'
  attempt: number
  resolve: (answer: unknown) => void
  reject: (error: Error) => void
  timer: NodeJS.Timeout
  retryTimer: NodeJS.Timeout | undefined
  lastRefusal: WochatError | null
}

export class Outbox {
  readonly #pending = new Map<string, Pending>()
  #publisher: Publisher | null = null
  #inFlight = 0
  #pause: NodeJS.Timeout | undefined

  get size(): number {
    return this.#pending.size
  }

  /** Resolves with the answer; rejects with {@link WochatError} or {@link ClientError}. */
  request(request: OutgoingRequest): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#pending.size >= REQUESTS_MAX) {
        reject(new ClientError('too_many_waiting'))
        return
      }
      if (this.#pending.has(request.key)) {
        reject(new WochatError('id_conflict', 'a request of this id waits for its answer already'))
        return
      }
      const timer = setTimeout(() => this.#expire(request.key), request.timeoutMs)
      this.#pending.set(request.key, {
        ...request,
        state: 'waiting',
        attempt: 0,
        resolve,
        reject,
        timer,
        retryTimer: undefined,
        lastRefusal: null,
      })
      this.#pump()
    })
  }

  connected(publisher: Publisher): void {
    this.#publisher = publisher
    this.#inFlight = 0
    this.#pump()
  }

  disconnected(): void {
    this.#publisher = null
    for (const pending of this.#pending.values()) {
      if (pending.state !== 'sent') continue
      pending.state = 'waiting'
      if (!pending.repeatable) this.#take(pending.key)?.reject(new ClientError('disconnected'))
    }
  }

  accept(key: string, answer: unknown): void {
    this.#take(key)?.resolve(answer)
  }

  refuse(key: string, refusal: WochatError): void {
    const pending = this.#pending.get(key)
    if (pending?.state !== 'sent') return
    if (!refusal.retryable) {
      this.#take(key)?.reject(refusal)
      return
    }
    pending.lastRefusal = refusal
    const delayMs = refusal.retryAfterMs ?? RETRY_MS
    if (pending.ordered) this.#pauseOrdered(pending, delayMs)
    else this.#delay(pending, delayMs)
  }

  /** What comes next would overtake, and would be refused for the same reason: all of them wait. */
  #pauseOrdered(pending: Pending, delayMs: number): void {
    pending.state = 'waiting'
    clearTimeout(this.#pause)
    this.#pause = setTimeout(() => {
      this.#pause = undefined
      this.#pump()
    }, delayMs)
  }

  #delay(pending: Pending, delayMs: number): void {
    pending.state = 'delayed'
    pending.retryTimer = setTimeout(() => {
      pending.state = 'waiting'
      this.#pump()
    }, delayMs)
  }

  /** Fails every request. */
  close(error: Error): void {
    this.#publisher = null
    clearTimeout(this.#pause)
    for (const key of [...this.#pending.keys()]) this.#take(key)?.reject(error)
  }

  #pump(): void {
    const publisher = this.#publisher
    if (publisher === null) return
    for (const pending of this.#pending.values()) {
      if (this.#inFlight >= publisher.inFlightMax) return
      if (pending.state !== 'waiting' || (pending.ordered && this.#pause !== undefined)) continue
      this.#publish(publisher, pending)
    }
  }

  #publish(publisher: Publisher, pending: Pending): void {
    pending.state = 'sent'
    const attempt = ++pending.attempt
    this.#inFlight++
    publisher.publish(pending.topic, pending.payload, (refusal) => {
      if (publisher !== this.#publisher) return
      this.#inFlight--
      this.#pump()
      if (refusal === null) return
      setTimeout(() => {
        if (pending.attempt === attempt) this.refuse(pending.key, refusal)
      }, REPLY_GRACE_MS)
    })
  }

  #expire(key: string): void {
    const pending = this.#take(key)
    pending?.reject(pending.lastRefusal ?? new ClientError('timeout'))
  }

  #take(key: string): Pending | undefined {
    const pending = this.#pending.get(key)
    if (pending === undefined) return undefined
    this.#pending.delete(key)
    clearTimeout(pending.timer)
    clearTimeout(pending.retryTimer)
    return pending
  }
}
