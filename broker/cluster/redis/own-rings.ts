/**
 * Rings the nodes that watch a group from the node that committed, while no live node has the role `fanout`: nobody
 * would read the streams. It looks the watchers up after the commit, as a worker does.
 */
import type { LogId } from '../../../protocol/ids.ts'
import type { Doorbells, FanoutQueue } from '../../../services/fanout/ports.ts'
import type { NodeId } from '../bus.ts'
import type { BusCounters } from './bus-counters.ts'

/** Frames whose watchers are being read; above, all nodes ask the store instead. */
const BYTES_WAITING_MAX = 16 * 1024 * 1024

export class OwnRings implements FanoutQueue {
  readonly #node: NodeId
  readonly #doorbells: Doorbells
  readonly #counters: BusCounters
  #bytesWaiting = 0

  constructor(node: NodeId, doorbells: Doorbells, counters: BusCounters) {
    this.#node = node
    this.#doorbells = doorbells
    this.#counters = counters
  }

  append(log: LogId, frame: Buffer): void {
    if (this.#bytesWaiting > BYTES_WAITING_MAX) this.#doorbells.lost(0)
    else void this.#ring(log, frame)
  }

  async #ring(log: LogId, frame: Buffer): Promise<void> {
    const since = performance.now()
    this.#bytesWaiting += frame.length
    try {
      const watchers = await this.#doorbells.watchersOf(log)
      this.#doorbells.ring(
        watchers.filter((node) => node !== this.#node),
        frame,
      )
      this.#counters.ownRings++
    } catch {
      this.#doorbells.lost(Math.ceil(performance.now() - since))
    } finally {
      this.#bytesWaiting -= frame.length
    }
  }
}
