/** What is live, on its way to other nodes: with the doorbells of the same turn, but given up where those would wait. */
import type { LogId } from '../../../protocol/ids.ts'
import type { NodeId, SignalAudience, SignalCounters } from '../bus.ts'
import { encodeFrame } from '../frame.ts'
import type { DoorbellBatches } from './doorbell-batches.ts'
import type { RoutedDoorbells } from './routed-doorbells.ts'

/** What may wait for Redis, doorbells and signals together; above, signals are dropped. */
const BYTES_WAITING_MAX = 8 * 1024 * 1024

export type RedisSignalsParts = {
  node: NodeId
  doorbells: DoorbellBatches
  routed: RoutedDoorbells
  watchersOf: (group: LogId) => Promise<NodeId[]>
  isReady: () => boolean
}

export class RedisSignals {
  readonly counters: SignalCounters = { sent: 0, dropped: 0 }
  readonly #parts: RedisSignalsParts
  #bytesWaiting = 0

  constructor(parts: RedisSignalsParts) {
    this.#parts = parts
  }

  signal(audience: SignalAudience, frame: Buffer): void {
    const { doorbells, routed, isReady } = this.#parts
    if (
      !isReady() ||
      doorbells.bytesInFlight + routed.bytesWaiting + this.#bytesWaiting > BYTES_WAITING_MAX
    ) {
      this.counters.dropped++
      return
    }
    this.counters.sent++
    const packed = encodeFrame({ kind: 'signal', bytes: frame })
    if ('group' in audience) void this.#ringWatchers(audience.group, packed)
    else routed.ring((writer) => writer.raw(packed, 0, packed.length), audience.uid, null)
  }

  async #ringWatchers(group: LogId, packed: Buffer): Promise<void> {
    const { node, doorbells, watchersOf } = this.#parts
    this.#bytesWaiting += packed.length
    try {
      for (const other of await watchersOf(group)) if (other !== node) doorbells.ring(other, packed)
    } catch {
      this.counters.sent--
      this.counters.dropped++
    } finally {
      this.#bytesWaiting -= packed.length
    }
  }
}
