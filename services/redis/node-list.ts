/** The list of live nodes. */
import { type Keys, NODES_LIFE_MS } from './keys.ts'
import type { RedisClient } from './redis.ts'
import { Script } from './script.ts'

type Announcement = {
  /** Microseconds of Redis TIME. */
  time: number
  /** False: the lease was over, or Redis has lost it. */
  wasHeld: boolean
  version: string
  /** Every live node; null when the list is the one of the version given. */
  nodes: string[] | null
}

export class NodeList {
  readonly #client: RedisClient
  readonly #keys: string[]
  readonly #infoKey: string
  readonly #announceScript = new Script<[string, number, string, ...string[]]>('announce-node')
  readonly #leaveScript = new Script<number>('leave-node')

  constructor(client: RedisClient, keys: Keys) {
    this.#client = client
    this.#infoKey = keys.nodeInfo
    this.#keys = [keys.nodeInfo, keys.nodeLeases, keys.nodesVersion]
  }

  /** Renews the lease of `node`; `version`: of the list that the caller has, or ''. */
  async announce(node: string, info: string, leaseMs: number, version: string): Promise<Announcement> {
    const [time, wasHeld, current, ...nodes] = await this.#announceScript.run(this.#client, this.#keys, [
      node,
      info,
      leaseMs,
      version,
      NODES_LIFE_MS,
    ])
    const isNew = current !== version || wasHeld === 0
    return { time: Number(time), wasHeld: wasHeld === 1, version: current, nodes: isNew ? nodes : null }
  }

  async leave(node: string): Promise<void> {
    await this.#leaveScript.run(this.#client, this.#keys, [node])
  }

  /** What the live nodes announced last. */
  async infos(): Promise<string[]> {
    return this.#client.commands.hvals(this.#infoKey)
  }
}
