/** Words between the two ends of a channel, by name: told without an answer, or asked with one. */
import { asWochatError, type ErrorBody, WochatError } from '../../../protocol/errors.ts'
import type { Channel } from '../../../services/store/remote/channel.ts'
import { encodeValue, type Frame, readValue } from '../../../services/store/remote/frame.ts'
import { PEER } from '../../../services/store/remote/messages.ts'
import { NodeAwayError } from '../bus.ts'

type Answer =
  | { id: number; value: unknown }
  | { id: number; refused: ErrorBody }
  | { id: number; away: string }
  | { id: number; failed: string }

type Message = { tell: string; params: unknown } | { ask: string; id: number; params: unknown } | Answer

type Waiting = {
  resolve: (value: unknown) => void
  reject: (error: Error) => void
  timer: NodeJS.Timeout | null
}

// biome-ignore lint/suspicious/noExplicitAny: both ends are of one build; each name has one shape of parameters
type Handler = (params: any) => unknown

/** Questions that may wait for an answer; further ones are answered as from a node that is away. */
const WAITING_MAX = 100_000
/** With this much waiting for the other end, what may be lost is not written any more. */
const CONGESTED_BYTES = 8 * 1024 * 1024

export class Peer {
  readonly #channel: Channel
  readonly #handlers = new Map<string, Handler>()
  readonly #waiting = new Map<number, Waiting>()
  #next = 1

  constructor(channel: Channel) {
    this.#channel = channel
    channel.on(PEER, (frame) => this.#onFrame(frame))
  }

  /** Answers what the other end asks or tells under a name; set before the other end may. */
  on(name: string, handler: Handler): void {
    this.#handlers.set(name, handler)
  }

  get isCongested(): boolean {
    return this.#channel.waitingBytes > CONGESTED_BYTES
  }

  tell(name: string, params: unknown): void {
    this.#post({ tell: name, params })
  }

  /** Rejects with {@link NodeAwayError} when the other end is gone or slow, else with what it threw. */
  ask(name: string, params: unknown, timeoutMs: number | null = null): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#channel.isClosed || this.#waiting.size >= WAITING_MAX) {
        reject(new NodeAwayError(`nobody answers ${name}`))
        return
      }
      const id = this.#next++
      const late = () => {
        this.#waiting.delete(id)
        reject(new NodeAwayError(`${name} was not answered within ${timeoutMs} ms`))
      }
      const timer = timeoutMs === null ? null : setTimeout(late, timeoutMs).unref()
      this.#waiting.set(id, { resolve, reject, timer })
      this.#post({ ask: name, id, params })
    })
  }

  channelClosed(): void {
    for (const { reject, timer } of this.#waiting.values()) {
      if (timer !== null) clearTimeout(timer)
      reject(new NodeAwayError('the other process is gone'))
    }
    this.#waiting.clear()
  }

  #post(message: Message): void {
    this.#channel.write(encodeValue(PEER, message))
  }

  #onFrame(frame: Frame): boolean {
    const message = readValue(frame) as Message
    if ('tell' in message) this.#handlers.get(message.tell)?.(message.params)
    else if ('ask' in message) void this.#answer(message)
    else this.#settle(message)
    return true
  }

  async #answer({ ask, id, params }: { ask: string; id: number; params: unknown }): Promise<void> {
    const handler = this.#handlers.get(ask)
    try {
      if (handler === undefined) throw new NodeAwayError(`${ask} is not answered`)
      this.#post({ id, value: await handler(params) })
    } catch (error) {
      if (error instanceof NodeAwayError) this.#post({ id, away: error.message })
      else if (error instanceof WochatError) this.#post({ id, refused: error.toWire() })
      else this.#post({ id, failed: String(asWochatError(error).cause ?? error) })
    }
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id)
    if (waiting === undefined) return
    this.#waiting.delete(answer.id)
    if (waiting.timer !== null) clearTimeout(waiting.timer)
    if ('value' in answer) waiting.resolve(answer.value)
    else if ('away' in answer) waiting.reject(new NodeAwayError(answer.away))
    else if ('failed' in answer) waiting.reject(new Error(answer.failed))
    else waiting.reject(asRefusal(answer.refused))
  }
}

function asRefusal({ code, message, retryAfterMs, details }: ErrorBody): WochatError {
  return new WochatError(code, message, { ...(retryAfterMs !== undefined && { retryAfterMs }), details })
}
