/** Hands jobs to the push workers, in a stream that all of them read. */
import type { Keys } from '../redis/keys.ts'
import type { RedisClient } from '../redis/redis.ts'
import type { PushJob, PushMetrics } from './ports.ts'

/**
 * Jobs in the stream. When it is full the oldest are cut off: a late notification is worth the least, and the message
 * itself waits in the log. (The streams of the fan-out refuse new entries instead, because somebody must be told.)
 */
const PUSH_JOBS_MAX = 100_000

export class PushQueue {
  readonly #client: RedisClient
  readonly #keys: Keys
  readonly #metrics: PushMetrics

  constructor({ client, keys, metrics }: { client: RedisClient; keys: Keys; metrics: PushMetrics }) {
    this.#client = client
    this.#keys = keys
    this.#metrics = metrics
  }

  /** Resolves when Redis has the job, or has not taken it: that is counted, and never an error of the caller. */
  async append(job: PushJob): Promise<void> {
    try {
      await this.#client.commands.xadd(
        this.#keys.pushJobs,
        ...(['MAXLEN', '~', PUSH_JOBS_MAX, '*'] as const),
        ...['job', JSON.stringify(job)],
      )
      this.#metrics.appended++
    } catch {
      this.#metrics.dropped++
    }
  }
}
