/** One bucket for all nodes; while Redis is away each node has its own. */
import { type CallLimiter, type RateLimit, RateLimiter } from '../rate-limiter.ts'
import type { Keys } from './keys.ts'
import type { RedisClient } from './redis.ts'
import { Script } from './script.ts'

const takeScript = new Script<number>('take-call')

export class SharedRateLimiter implements CallLimiter {
  readonly #client: RedisClient
  readonly #keys: Keys
  readonly #name: string
  readonly #limit: RateLimit
  readonly #local: RateLimiter

  /** `name`: what is limited, `[a-z]+`; limiters of the same name share their buckets. */
  constructor(client: RedisClient, keys: Keys, name: string, limit: RateLimit) {
    this.#client = client
    this.#keys = keys
    this.#name = name
    this.#limit = limit
    this.#local = new RateLimiter(limit)
  }

  async take(key: string): Promise<number> {
    const { perSecond, burst } = this.#limit
    if (perSecond === 0) return 0
    if (!this.#client.isReady) return this.#local.take(key)
    try {
      const bucket = this.#keys.limit(this.#name, key)
      return await takeScript.run(this.#client, [bucket], [Math.ceil(1_000_000 / perSecond), burst])
    } catch {
      // The client has said that Redis is away; a caller must not wait for its return.
      return this.#local.take(key)
    }
  }
}
