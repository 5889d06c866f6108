/**
 * A worker of the push role: takes jobs from the stream and hands them to the provider. A job is done when the provider
 * has taken it; one that it refused, or that a dead worker left, is tried again after {@link CLAIM_IDLE_MS}.
 */

import type { Keys } from '../redis/keys.ts'
import type { RedisClient, RedisLog } from '../redis/redis.ts'
import { endsInTime } from '../redis/stop-wait.ts'
import { readStreams } from '../redis/stream-reader.ts'
import { type StreamItem, WorkStream } from '../redis/work-stream.ts'
import type { PushJob, PushMetrics, PushProvider } from './ports.ts'

/** Longer than a provider takes for a batch. */
const CLAIM_IDLE_MS = 30_000
const CLAIM_EVERY_MS = 1000
const CLAIM_ITEMS_MAX = 128
const FORGET_EVERY_MS = 60_000

type PushWorkerOptions = {
  client: RedisClient
  keys: Keys
  /** Id of this node; another one after a restart. */
  node: string
  provider: PushProvider
  metrics: PushMetrics
  log: RedisLog
  /** For tests. */
  claimIdleMs?: number
}

export class PushWorker implements AsyncDisposable {
  readonly #options: PushWorkerOptions
  readonly #stream: WorkStream
  readonly #claimIdleMs: number
  #isStopping = false
  /** The stream and its group were there once; if they go, the reader makes them again. */
  #isMade = false
  #reading: Promise<void> | null = null
  #claiming: Promise<void> | null = null
  #timer: NodeJS.Timeout | undefined
  #forgetAt = performance.now() + FORGET_EVERY_MS

  constructor(options: PushWorkerOptions) {
    this.#options = options
    this.#claimIdleMs = options.claimIdleMs ?? CLAIM_IDLE_MS
    this.#stream = new WorkStream(options.client, options.node)
  }

  /** Works from now on, also through times without Redis. */
  start(): void {
    const { client, node, log } = this.#options
    this.#reading = readStreams({
      client,
      stream: this.#stream,
      name: `${node} push`,
      keys: () => this.#keys(),
      work: (items) => this.#work(items),
      drained: () => {},
      interrupted: (_, error) => {
        if (client.isReady && !this.#isStopping) log.error({ err: error }, 'push: jobs could not be read')
      },
    })
    this.#timer = setInterval(() => {
      this.#claiming ??= this.#claimIdle().finally(() => {
        this.#claiming = null
      })
    }, CLAIM_EVERY_MS)
  }

  /** Finishes the jobs that are with the provider, if it takes them soon; else another worker tries them again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    clearInterval(this.#timer)
    await endsInTime(Promise.all([this.#reading, this.#claiming]), 'the push worker', this.#options.log)
  }

  async #keys(): Promise<readonly string[]> {
    if (this.#isStopping) return []
    const key = this.#options.keys.pushJobs
    try {
      if (!this.#isMade) await this.#stream.ensure(key)
      this.#isMade = true
    } catch {
      // Redis is away, and the read that follows fails too.
    }
    return [key]
  }

  /** Jobs of a provider that failed stay pending. */
  async #work(items: readonly StreamItem[]): Promise<void> {
    const { provider, metrics, log } = this.#options
    const jobs = items.flatMap(parseJob)
    try {
      if (jobs.length > 0) await provider.push(jobs)
    } catch (error) {
      metrics.failures++
      log.error({ err: error, jobs: jobs.length }, 'push: the provider failed; tried again later')
      return
    }
    await this.#stream.finish(items)
    metrics.processed += jobs.length
  }

  async #claimIdle(): Promise<void> {
    const { client, keys, metrics, log } = this.#options
    if (!client.isReady) return
    try {
      await this.#stream.ensure(keys.pushJobs)
      const items = await this.#stream.claim(keys.pushJobs, {
        idleMs: this.#claimIdleMs,
        itemsMax: CLAIM_ITEMS_MAX,
      })
      metrics.claimed += items.length
      if (items.length > 0) await this.#work(items)
      metrics.streamLength = await this.#stream.length([keys.pushJobs])
      if (performance.now() < this.#forgetAt) return
      this.#forgetAt = performance.now() + FORGET_EVERY_MS
      await this.#stream.forgetGone(keys.pushJobs)
    } catch (error) {
      if (client.isReady) log.error({ err: error }, 'push: unfinished jobs were not taken over')
    }
  }
}

/** An item that is not a job, as of another version, is finished without one. */
function parseJob({ fields }: StreamItem): PushJob[] {
  if (fields[0]?.toString() !== 'job' || fields[1] === undefined) return []
  try {
    return [JSON.parse(fields[1].toString()) as PushJob]
  } catch {
    return []
  }
}
