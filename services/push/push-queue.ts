/** Hands jobs to the push workers, in a stream that all of them read. */
import type { Keys } from '../redis/keys.ts'
import type { RedisClient } from '../redis/redis.ts'
import { renewal, sendTogether } from '../redis/work-stream.ts'
import type { PushJob } from './ports.ts'

/**
 * Jobs in the stream. When it is full the oldest are cut off: a late notification is worth the least, and the message
 * itself waits in the log. (The streams of the fan-out refuse new entries instead, because somebody must be told.)
 */
const PUSH_JOBS_MAX = 100_000

export class PushQueue {
  readonly #client: RedisClient
  readonly #keys: Keys

  constructor({ client, keys }: { client: RedisClient; keys: Keys }) {
    this.#client = client
    this.#keys = keys
  }

  /** Resolves with whether Redis has taken the job, and never rejects. */
  async append(job: PushJob): Promise<boolean> {
    try {
      const key = this.#keys.pushJobs
      await sendTogether(this.#client, [
        ['xadd', key, 'MAXLEN', '~', PUSH_JOBS_MAX, '*', 'job', JSON.stringify(job)],
        renewal(key),
      ])
      return true
    } catch {
      return false
    }
  }
}
