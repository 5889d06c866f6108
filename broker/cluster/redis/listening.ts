/** The channels that this node listens to: its own and that of all nodes. */
import type { Logger } from 'pino'
import type { RedisClient } from '../../../services/redis/redis.ts'
import type { NodeId } from '../bus.ts'
import { type Frame, readFrame } from '../frame.ts'
import type { BusCounters } from './bus-counters.ts'
import { Hearing } from './hearing.ts'
import { Subscription } from './subscription.ts'

export type ListeningParts = {
  node: NodeId
  client: RedisClient
  channels: readonly string[]
  counters: BusCounters
  onFrame: (frame: Frame, sender: NodeId) => void
  /** Frames may be missing since then, in ms of `performance.now()`. */
  onHole: (since: number) => void
  log: Pick<Logger, 'error'>
}

export class Listening implements AsyncDisposable {
  readonly #parts: ListeningParts
  readonly #hearings: readonly Hearing[]
  readonly #subscriptions: readonly Subscription[]

  constructor(parts: ListeningParts) {
    this.#parts = parts
    const { node: name, client, channels, onHole } = parts
    this.#hearings = channels.map(() => this.#createHearing())
    this.#subscriptions = channels.map((channel, i) => {
      const hearing = this.#hearings[i]!
      return new Subscription({
        client,
        channel,
        name,
        onMessage: (message) => hearing.hear(message),
        onHole,
      })
    })
  }

  async open(): Promise<void> {
    await Promise.all(this.#subscriptions.map((subscription) => subscription.open()))
  }

  /** What this node says to itself. */
  hearOwn(bytes: Buffer): void {
    const frame = readFrame(bytes, 0, bytes.length)
    if (frame !== null) this.#parts.onFrame(frame, this.#parts.node)
  }

  /** Once a second. */
  tick(isLive: (node: NodeId) => boolean): void {
    for (const hearing of this.#hearings) hearing.tick(isLive)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#subscriptions.map((subscription) => subscription[Symbol.asyncDispose]()))
  }

  #createHearing(): Hearing {
    const { node, counters, onFrame, onHole, log } = this.#parts
    const onFailure = (error: unknown) => log.error({ err: error }, 'a doorbell could not be read or handled')
    return new Hearing({ node, counters, onFrame, onHole, onFailure })
  }
}
