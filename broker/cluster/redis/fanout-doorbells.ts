/** The bus as the fan-out sees it: whom to ring for a group, and how. */
import type { LogId } from '../../../protocol/ids.ts'
import type { Doorbells } from '../../../services/fanout/ports.ts'
import type { NodeId } from '../bus.ts'
import type { DoorbellBatches } from './doorbell-batches.ts'
import type { GroupLookups } from './group-lookups.ts'
import type { Listening } from './listening.ts'
import type { Losses } from './losses.ts'
import type { Members } from './members.ts'

export type FanoutDoorbellsParts = {
  node: NodeId
  batches: DoorbellBatches
  lookups: GroupLookups
  members: Pick<Members, 'live'>
  losses: Losses
  listening: Pick<Listening, 'hearOwn'>
}

export class FanoutDoorbells implements Doorbells {
  readonly #parts: FanoutDoorbellsParts

  constructor(parts: FanoutDoorbellsParts) {
    this.#parts = parts
  }

  ring(nodes: readonly NodeId[], frame: Buffer): void {
    const { node: self, batches, listening } = this.#parts
    for (const node of nodes) {
      if (node === self) listening.hearOwn(frame)
      else batches.ring(node, frame)
    }
  }

  broadcast(frame: Buffer): void {
    this.#parts.listening.hearOwn(frame)
    this.#parts.batches.ringAll(frame)
  }

  watchersOf(group: LogId): Promise<NodeId[]> {
    return this.#parts.lookups.watchersOf(group)
  }

  liveNodes(): readonly NodeId[] {
    return [...this.#parts.members.live]
  }

  lost(ageMs: number): void {
    this.#parts.losses.everywhere(performance.now() - ageMs)
  }
}
