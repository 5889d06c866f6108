/** Picks the steps of one message, named by its author's id, from those of its log. */
import type { TraceEvent } from '../../protocol/admin/rows.ts'

/** Steps of messages of which nobody has said yet whether one is it. */
const WAITING_STEPS_MAX = 1000

/**
 * Only where a message is taken in is its id known; elsewhere it is a seq. Which seq, `stored` says, and that may be
 * read after steps of other nodes: until then they wait.
 */
export class FollowedMessage {
  readonly #id: string
  /** More than one, if several authors have used the id. */
  readonly #seqs = new Set<number>()
  #waiting: TraceEvent[] = []

  constructor(id: string) {
    this.#id = id
  }

  pick(events: readonly TraceEvent[]): TraceEvent[] {
    for (const { id, seq } of events) if (id === this.#id && seq !== null) this.#seqs.add(seq)
    const picked: TraceEvent[] = []
    const waiting: TraceEvent[] = []
    for (const event of [...this.#waiting, ...events]) {
      if (event.id === this.#id || this.#seqs.has(event.seq ?? 0)) picked.push(event)
      else if (event.id === null && event.seq !== null) waiting.push(event)
    }
    this.#waiting = waiting.slice(-WAITING_STEPS_MAX)
    return picked
  }
}
