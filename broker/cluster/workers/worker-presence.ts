/** The board of a worker: it asks the primary, which has the table ({@link PresenceTable}). */
import type { UserId } from '../../../protocol/ids.ts'
import type { NodePresence, PresenceBoard, PresencePart } from '../../../services/presence/ports.ts'
import type { NodeId } from '../bus.ts'
import type { Peer } from './peer.ts'

const ANSWER_MS = 2000

export class WorkerPresence implements PresenceBoard {
  readonly #peer: Peer
  readonly #node: NodeId
  #n = 0

  constructor(peer: Peer, node: NodeId) {
    this.#peer = peer
    this.#node = node
  }

  put(uid: UserId, state: NodePresence, at: number): void {
    const part: PresencePart = { node: this.#node, state, at, n: ++this.#n }
    this.#peer.tell('presence.put', { uid, part })
  }

  read(uids: readonly UserId[]): Promise<PresencePart[][]> {
    return this.#ask('presence.read', uids)
  }

  follow(uids: readonly UserId[]): Promise<PresencePart[][]> {
    return this.#ask('presence.follow', uids)
  }

  unfollow(uids: readonly UserId[]): void {
    this.#peer.tell('presence.unfollow', uids)
  }

  /** A primary that does not answer is about to take this worker along. */
  async #ask(question: string, uids: readonly UserId[]): Promise<PresencePart[][]> {
    const answer = this.#peer.ask(question, uids, ANSWER_MS).catch(() => uids.map(() => []))
    return (await answer) as PresencePart[][]
  }
}
