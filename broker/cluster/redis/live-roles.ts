/**
 * How many live nodes have each role, read again whenever the list of nodes has changed; and whether anybody reads the
 * streams of the fan-out.
 */
import type { Logger } from 'pino'
import type { NodeList } from '../../../services/redis/node-list.ts'
import type { NodeId, NodeInfo } from '../bus.ts'

export type LiveRolesParts = {
  list: NodeList
  log: Pick<Logger, 'warn' | 'info'>
  /** The last node with the role `fanout` has gone, or there was none from the start. */
  onFanoutGone: () => void
}

export class LiveRoles {
  readonly #parts: LiveRolesParts
  #of: ReadonlySet<NodeId> | null = null
  #counts: ReadonlyMap<string, number> = new Map()
  #isWithoutFanout = false

  constructor(parts: LiveRolesParts) {
    this.#parts = parts
  }

  /** No live node has the role `fanout`; false while that is not known. */
  get isWithoutFanout(): boolean {
    return this.#isWithoutFanout
  }

  count(role: string): number {
    return this.#counts.get(role) ?? 0
  }

  /** `live`: another object when the list has changed. Rejects while Redis is away. */
  async refresh(live: ReadonlySet<NodeId>): Promise<void> {
    if (live === this.#of) return
    const infos = (await this.#parts.list.infos()).map((json) => JSON.parse(json) as NodeInfo)
    const counts = new Map<string, number>()
    for (const { id, roles } of infos) {
      if (!live.has(id)) continue
      for (const role of roles) counts.set(role, (counts.get(role) ?? 0) + 1)
    }
    this.#counts = counts
    this.#of = live
    this.#compare(this.count('fanout') === 0)
  }

  #compare(isWithoutFanout: boolean): void {
    if (isWithoutFanout === this.#isWithoutFanout) return
    this.#isWithoutFanout = isWithoutFanout
    const { log, onFanoutGone } = this.#parts
    if (!isWithoutFanout) {
      log.info('a live node has the role fanout')
      return
    }
    log.warn('no live node has the role fanout: each node rings its groups itself')
    onFanoutGone()
  }
}
