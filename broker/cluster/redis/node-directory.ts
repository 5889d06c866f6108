/** What this node says of itself, and who else is in the list. */
import type { NodeList } from '../../../services/redis/node-list.ts'
import type { NodeId, NodeInfo, NodeSide } from '../bus.ts'
import type { LocalNode } from '../local-bus.ts'

export class NodeDirectory {
  readonly #node: NodeId
  readonly #self: LocalNode
  readonly #list: NodeList
  readonly #describe: NodeSide['describe']
  readonly #startedAt = Date.now()
  #lastOthers: NodeInfo[] = []

  constructor(parts: {
    node: NodeId
    self: LocalNode
    list: NodeList
    describe: NodeSide['describe']
  }) {
    this.#node = parts.node
    this.#self = parts.self
    this.#list = parts.list
    this.#describe = parts.describe
  }

  own(): NodeInfo {
    const { name, version, roles, adminUrl } = this.#self
    const { state, load } = this.#describe()
    const startedAt = this.#startedAt
    return { id: this.#node, name, version, roles, state, startedAt, adminUrl: adminUrl(), load }
  }

  async all(): Promise<NodeInfo[]> {
    try {
      const infos = (await this.#list.infos()).map((json) => JSON.parse(json) as NodeInfo)
      this.#lastOthers = infos.filter(({ id }) => id !== this.#node)
    } catch {
      // While Redis is away, whom it listed last.
    }
    return [this.own(), ...this.#lastOthers].sort((a, b) => (a.id < b.id ? -1 : 1))
  }
}
