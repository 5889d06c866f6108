/** The persistent sessions that a worker has open, so that they can be left for it when it dies. */
import type { ClientId } from '../../../protocol/ids.ts'
import type { OpenedSession } from '../contract.ts'

export type HeldSession = { clientId: ClientId; session: number; generation: number }

export class HeldSessions {
  readonly #held = new Map<number, HeldSession>()

  opened(clientId: ClientId, { session, generation }: OpenedSession): void {
    if (session === null) return
    // Two answers for one session come in the order of the store, so that the later one is the higher generation.
    this.#held.set(session, { clientId, session, generation })
  }

  /** The store has heard that the connection is gone; a later generation of the session stays. */
  closed(session: number, generation: number): void {
    if (this.#held.get(session)?.generation === generation) this.#held.delete(session)
  }

  takeAll(): HeldSession[] {
    const all = [...this.#held.values()]
    this.#held.clear()
    return all
  }
}
