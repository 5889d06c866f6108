/** Which groups this node hears of: it watches those that have a member here. */
import type { LogId } from '../../protocol/ids.ts'
import type { Bus } from '../cluster/bus.ts'

export class GroupWatch {
  readonly #bus: Pick<Bus, 'watch' | 'unwatch'>
  /** Null: every doorbell of the group rings here. */
  readonly #watched = new Map<LogId, Promise<void> | null>()

  constructor(bus: Pick<Bus, 'watch' | 'unwatch'>) {
    this.#bus = bus
  }

  /** Null when the group is watched already; else resolves when it is, and what was committed until then may not have rung. */
  ensure(group: LogId): Promise<void> | null {
    const known = this.#watched.get(group)
    if (known !== undefined) return known
    const watching = this.#bus.watch(group).then(
      () => {
        if (this.#watched.get(group) === watching) this.#watched.set(group, null)
      },
      (error: unknown) => {
        if (this.#watched.get(group) === watching) this.#watched.delete(group)
        throw error
      },
    )
    this.#watched.set(group, watching)
    return watching
  }

  /** The last member of the group has left this node. */
  release(group: LogId): void {
    if (this.#watched.delete(group)) this.#bus.unwatch(group)
  }
}
