/** The groups that this node watches because it has members of them, as Redis is to know it. */
import type { LogId } from '../../../protocol/ids.ts'
import type { Watchers } from '../../../services/redis/watchers.ts'
import type { NodeId } from '../bus.ts'

/** A group whose last member left is watched on, because the member often comes back at once. */
const GRACE_MS = 30_000
const RESTORED_AT_ONCE = 500
/** Watches given up in one tick, one command each. */
const REMOVED_PER_TICK_MAX = 500

export type GroupWatchesParts = {
  node: NodeId
  watchers: Watchers
  isReady: () => boolean
  /** The number of this node's lease. */
  lease: () => number
  /** A watch may not be in Redis. */
  onUnsure: () => void
}

type Watch = { written: Promise<void>; endsAt: number }

export class GroupWatches {
  readonly #parts: GroupWatchesParts
  readonly #watches = new Map<LogId, Watch>()
  #waiting: { group: LogId; done: () => void }[] = []

  constructor(parts: GroupWatchesParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#watches.size
  }

  /** Resolves when it is written, or when Redis did not answer; then it is written with the next restoration. */
  watch(group: LogId): Promise<void> {
    const watch = this.#watches.get(group)
    if (watch !== undefined) {
      watch.endsAt = Number.POSITIVE_INFINITY
      return watch.written
    }
    const written = new Promise<void>((done) => {
      this.#waiting.push({ group, done })
      if (this.#waiting.length === 1) setImmediate(() => void this.#writeWaiting())
    })
    this.#watches.set(group, { written, endsAt: Number.POSITIVE_INFINITY })
    return written
  }

  unwatch(group: LogId): void {
    const watch = this.#watches.get(group)
    if (watch !== undefined) watch.endsAt = performance.now() + GRACE_MS
  }

  /** Once a second: gives up the watches whose grace is over. */
  tick(): void {
    if (!this.#parts.isReady()) return
    const now = performance.now()
    let left = REMOVED_PER_TICK_MAX
    for (const [group, { endsAt }] of this.#watches) {
      if (endsAt > now) continue
      this.#watches.delete(group)
      const watcher = { node: this.#parts.node, lease: this.#parts.lease() }
      // One that stays is rung for nothing until it is pruned or its life is over.
      this.#parts.watchers.remove(group, [watcher]).catch(() => {})
      if (--left === 0) return
    }
  }

  /** Writes all again; false if Redis did not answer for each. */
  async restore(): Promise<boolean> {
    const groups = [...this.#watches.keys()]
    let isComplete = true
    for (let at = 0; at < groups.length; at += RESTORED_AT_ONCE) {
      isComplete &&= await this.#write(groups.slice(at, at + RESTORED_AT_ONCE))
    }
    return isComplete
  }

  async #writeWaiting(): Promise<void> {
    const waiting = this.#waiting
    this.#waiting = []
    const isWritten = this.#parts.isReady() && (await this.#write(waiting.map(({ group }) => group)))
    if (!isWritten) this.#parts.onUnsure()
    for (const { done } of waiting) done()
  }

  async #write(groups: readonly LogId[]): Promise<boolean> {
    const { node, watchers } = this.#parts
    const lease = this.#parts.lease()
    const earlier = lease > 1 ? { node, lease: lease - 1 } : null
    return watchers.add(groups, { node, lease }, earlier).then(
      () => true,
      () => false,
    )
  }
}
