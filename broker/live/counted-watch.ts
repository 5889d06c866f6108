/** Watches of groups that several parts of a node ask for: the bus is told of the first and of the last. */
import type { LogId } from '../../protocol/ids.ts'
import type { Bus } from '../cluster/bus.ts'

export class CountedWatch {
  readonly #bus: Pick<Bus, 'watch' | 'unwatch'>
  readonly #counts = new Map<LogId, number>()

  constructor(bus: Pick<Bus, 'watch' | 'unwatch'>) {
    this.#bus = bus
  }

  /** One of those who share the bus; each may watch a group again, which counts once. */
  open(): Pick<Bus, 'watch' | 'unwatch'> {
    const own = new Set<LogId>()
    return {
      watch: (group) => {
        if (!own.has(group)) this.#counts.set(group, (this.#counts.get(group) ?? 0) + 1)
        own.add(group)
        return this.#bus.watch(group)
      },
      unwatch: (group) => {
        if (!own.delete(group)) return
        const left = this.#counts.get(group)! - 1
        if (left > 0) this.#counts.set(group, left)
        else {
          this.#counts.delete(group)
          this.#bus.unwatch(group)
        }
      },
    }
  }
}
