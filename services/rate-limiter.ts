/** Token buckets in memory, one per key: an account or an address. */

export type RateLimit = {
  /** Calls per second in the long run; 0 = unlimited. */
  perSecond: number
  /** Calls that may come at once. */
  burst: number
}

/** Keys remembered; the one that was quiet the longest is forgotten first. Some 10 MB. */
const KEYS_MAX = 100_000

/** Decides whether a caller may go on; over one process or over all nodes. */
export interface CallLimiter {
  /** Takes one call from the bucket of `key`: 0 when it may go on, else the ms until the next one may. Never rejects. */
  take(key: string): number | Promise<number>
}

type Bucket = { tokens: number; at: number }

export class RateLimiter implements CallLimiter {
  readonly #limit: RateLimit
  readonly #now: () => number
  readonly #buckets = new Map<string, Bucket>()

  /** `now` in ms; it need not be the time of day. */
  constructor(limit: RateLimit, now: () => number = () => performance.now()) {
    this.#limit = limit
    this.#now = now
  }

  take(key: string): number {
    const { perSecond, burst } = this.#limit
    if (perSecond === 0) return 0
    const now = this.#now()
    const bucket = this.#buckets.get(key) ?? { tokens: burst, at: now }
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * perSecond)
    bucket.at = now
    this.#remember(key, bucket)
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) / perSecond) * 1000)
    bucket.tokens--
    return 0
  }

  /** A Map keeps the order of insertion, so that its first key is the one that was quiet the longest. */
  #remember(key: string, bucket: Bucket): void {
    this.#buckets.delete(key)
    if (this.#buckets.size >= KEYS_MAX) this.#buckets.delete(this.#buckets.keys().next().value as string)
    this.#buckets.set(key, bucket)
  }
}
