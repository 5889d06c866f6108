/** Who watches a group, for those who ring it: looked up together for all groups of one turn, the dead pruned. */
import type { LogId } from '../../../protocol/ids.ts'
import type { Watcher, Watchers } from '../../../services/redis/watchers.ts'
import type { NodeId } from '../bus.ts'
import type { Members } from './members.ts'

type Waiting = { group: LogId; resolve: (nodes: NodeId[]) => void; reject: (error: unknown) => void }

export class GroupLookups {
  readonly #watchers: Watchers
  readonly #members: Members
  #waiting: Waiting[] = []

  constructor(watchers: Watchers, members: Members) {
    this.#watchers = watchers
    this.#members = members
  }

  watchersOf(group: LogId): Promise<NodeId[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ group, resolve, reject })
      if (this.#waiting.length === 1) setImmediate(() => void this.#read())
    })
  }

  async #read(): Promise<void> {
    const waiting = this.#waiting
    this.#waiting = []
    const groups = [...new Set(waiting.map(({ group }) => group))]
    try {
      const watchers = await this.#watchers.of(groups)
      const nodes = new Map(groups.map((group, i) => [group, nodesOf(watchers[i]!)]))
      await this.#prune(groups, watchers, nodes)
      for (const { group, resolve } of waiting) resolve(nodes.get(group)!)
    } catch (error) {
      for (const { reject } of waiting) reject(error)
    }
  }

  /**
   * Takes out who does not live, of a list of nodes that is younger than the watches: a node is in the list before it
   * watches anything, and one that lost its lease comes back as another watcher.
   */
  async #prune(
    groups: readonly LogId[],
    watchers: readonly Watcher[][],
    nodes: ReadonlyMap<LogId, NodeId[]>,
  ): Promise<void> {
    const isDead = ({ node }: Watcher): boolean => !this.#members.isLive(node)
    if (!watchers.some((some) => some.some(isDead))) return
    await this.#members.refreshFromNow()
    if (!this.#members.isSettled) return
    for (const [i, group] of groups.entries()) {
      const dead = watchers[i]!.filter(isDead)
      if (dead.length === 0) continue
      const list = nodes.get(group)!
      for (const { node } of dead) if (list.includes(node)) list.splice(list.indexOf(node), 1)
      // What stays is found again with the next look-up.
      this.#watchers.remove(group, dead).catch(() => {})
    }
  }
}

function nodesOf(watchers: readonly Watcher[]): NodeId[] {
  return [...new Set(watchers.map(({ node }) => node))]
}
