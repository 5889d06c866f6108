/** Which nodes have members of a group. */
import type { LogId } from '../../protocol/ids.ts'
import { type Keys, WATCH_LIFE_MS } from './keys.ts'
import type { RedisClient } from './redis.ts'
import { Script } from './script.ts'
import { runBySlot } from './slots.ts'

/**
 * A node under one of its leases. One that lost its lease watches again as another watcher, so that whoever prunes the
 * dead can never remove a watch that was made since.
 */
export type Watcher = { node: string; lease: number }

export class Watchers {
  readonly #client: RedisClient
  readonly #keys: Keys
  readonly #watchScript = new Script<number>('watch-groups')

  constructor(client: RedisClient, keys: Keys) {
    this.#client = client
    this.#keys = keys
  }

  /** Rejects if any of it may not have been written. `earlier`: the same node under another lease, to be removed. */
  async add(groups: readonly LogId[], watcher: Watcher, earlier: Watcher | null): Promise<void> {
    const args = [encode(watcher), earlier === null ? '' : encode(earlier), WATCH_LIFE_MS]
    const keys = groups.map((group) => this.#keys.watch(group))
    await Promise.all(
      runBySlot(this.#client, keys, (some) => this.#watchScript.run(this.#client, some, args)),
    )
  }

  async remove(group: LogId, watchers: readonly Watcher[]): Promise<void> {
    await this.#client.commands.srem(this.#keys.watch(group), ...watchers.map(encode))
  }

  /** The watchers of groups, in the order asked, in one round trip. Rejects if Redis did not answer for each. */
  async of(groups: readonly LogId[]): Promise<Watcher[][]> {
    const keys = groups.map((group) => this.#keys.watch(group))
    const watchers = new Array<Watcher[]>(groups.length)
    await Promise.all(
      runBySlot(this.#client, keys, async (some, group) => {
        const pipeline = this.#client.commands.pipeline()
        for (const key of some) pipeline.smembers(key)
        const answers = (await pipeline.exec()) ?? []
        group.forEach((i, at) => {
          const [error, members] = answers[at] ?? [new Error('Redis did not answer'), []]
          if (error) throw error
          watchers[i] = (members as string[]).map(decode)
        })
      }),
    )
    return watchers
  }
}

function encode({ node, lease }: Watcher): string {
  return `${node}/${lease}`
}

function decode(member: string): Watcher {
  const slash = member.lastIndexOf('/')
  return { node: member.slice(0, slash), lease: Number(member.slice(slash + 1)) }
}
