/**
 * One channel, heard for ever: over a connection of its own to the server that serves it, made again when that ends.
 *
 * The channel is subscribed again each second. That costs a round trip and asks three things at once: does the server
 * answer, does it still know the subscription, and (in a Cluster) does it still serve the channel's slot.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { RedisClient } from '../../../services/redis/redis.ts'

const CHECK_MS = 1000
const RETRY_MS = 200

export type SubscriptionParts = {
  client: RedisClient
  channel: string
  /** Of the connection, shown by CLIENT LIST. */
  name: string
  onMessage: (message: Buffer) => void
  /** The channel is heard again; what was said since `since`, ms of `performance.now()`, may be lost. */
  onHole: (since: number) => void
}

export class Subscription implements AsyncDisposable {
  readonly #parts: SubscriptionParts
  #connection: Redis | null = null
  #isClosed = false
  /** What was said before came before the answer to a subscription that was asked for then. */
  #heardUntil = 0
  #running: Promise<void> = Promise.resolve()

  constructor(parts: SubscriptionParts) {
    this.#parts = parts
  }

  /** Resolves when the channel is heard for the first time. */
  async open(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#running = this.#run(resolve)
    })
  }

  async #run(onFirst: () => void): Promise<void> {
    let isFirst = true
    while (!this.#isClosed) {
      const ended = await this.#hear(() => {
        if (isFirst) onFirst()
        else this.#parts.onHole(this.#heardUntil)
        isFirst = false
      }).catch(() => null)
      if (ended === null && !this.#isClosed) await wait(RETRY_MS)
    }
    onFirst()
  }

  /** Resolves when the connection has ended; rejects if there was none. */
  async #hear(onHeard: () => void): Promise<true> {
    const { client, channel, name, onMessage } = this.#parts
    const connection = await client.connectTo(channel, name)
    this.#connection = connection
    // Its end may have been told already.
    if (connection.status === 'end') return true
    const ended = new Promise<true>((resolve) => connection.once('end', () => resolve(true)))
    // `moved`: the slot is served by another server now. An error that belongs to no command: it was unsubscribed.
    connection.on('moved', () => connection.disconnect())
    connection.on('error', () => connection.disconnect())
    connection.on(client.isCluster ? 'smessageBuffer' : 'messageBuffer', (_, message: Buffer) =>
      onMessage(message),
    )
    if (this.#isClosed) connection.disconnect()
    const subscribe = async () => {
      const since = performance.now()
      await (client.isCluster ? connection.ssubscribe(channel) : connection.subscribe(channel))
      return since
    }
    const first = await subscribe().catch(() => connection.disconnect())
    if (first !== undefined && connection.status === 'ready') {
      onHeard()
      this.#heardUntil = first
    }
    const check = () =>
      subscribe().then(
        (since) => {
          this.#heardUntil = since
        },
        () => connection.disconnect(),
      )
    const timer = setInterval(check, CHECK_MS)
    await ended
    clearInterval(timer)
    return true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#connection?.disconnect()
    await this.#running
  }
}
