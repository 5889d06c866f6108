/** How long the streams of work are, for an operator. */
import type { StreamsPort } from '../admin/cluster-port.ts'
import type { Keys } from './keys.ts'
import type { RedisClient } from './redis.ts'

export class StreamLengths implements StreamsPort {
  readonly #client: RedisClient
  readonly #streams: readonly (readonly [name: string, key: string])[]

  constructor(client: RedisClient, keys: Keys, fanoutShards: number) {
    this.#client = client
    const shards = Array.from(
      { length: fanoutShards },
      (_, i) => [`fanout ${i}`, keys.fanoutStream(i)] as const,
    )
    this.#streams = [...shards, ['push', keys.pushJobs]]
  }

  /** Rejects while Redis is away. */
  async streams(): Promise<{ stream: string; length: number; pending: number }[]> {
    if (!this.#client.isReady) throw new Error('Redis is away')
    return Promise.all(
      this.#streams.map(async ([stream, key]) => ({
        stream,
        length: await this.#client.commands.xlen(key),
        pending: await this.#pending(key),
      })),
    )
  }

  /** Of all groups of readers; a stream that nobody has read yet has none. */
  async #pending(key: string): Promise<number> {
    const groups = (await this.#client.commands.xinfo('GROUPS', key).catch(() => [])) as unknown[][]
    return groups.reduce((sum, group) => sum + Number(group[group.indexOf('pending') + 1] ?? 0), 0)
  }
}
