/** How much may be on its way to a client without a PUBACK: entries, replies and the engine's share of Receive Maximum. */
import type { GateLimits } from './gate-limits.ts'
import type { Identity } from './identity.ts'

export class OutgoingRoom {
  readonly #identity: Identity
  readonly #limits: Pick<GateLimits, 'windowEntries' | 'plainInflightMax'>

  constructor(identity: Identity, limits: Pick<GateLimits, 'windowEntries' | 'plainInflightMax'>) {
    this.#identity = identity
    this.#limits = limits
  }

  /** Everything that is unacknowledged on this connection, ours and the engine's, against the client's Receive Maximum. */
  get #free(): number {
    const { receiveMaximum, session, plain } = this.#identity
    return receiveMaximum - session.inflight.unacked - plain.inflight
  }

  get entries(): number {
    const { inflight } = this.#identity.session
    return Math.max(0, Math.min(this.#limits.windowEntries - inflight.entries, this.#free))
  }

  /** The engine's share: what Receive Maximum leaves, within its own window. */
  get plain(): number {
    const { plain } = this.#identity
    return Math.max(0, Math.min(this.#limits.plainInflightMax - plain.inflight, this.#free))
  }

  get hasReply(): boolean {
    const { inflight } = this.#identity.session
    return inflight.hasFreeId && inflight.replies < this.#limits.windowEntries && this.#free > 0
  }
}
