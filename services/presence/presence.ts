/**
 * Presence: who is there, over all nodes, told to those who watch. Nothing of it touches the disk, except that a device
 * that has gone is noted as seen ({@link SeenWriter}), which is where `lastSeen` comes from.
 */
import type { UserId } from '../../protocol/ids.ts'
import { OwnPresence } from './own-presence.ts'
import type { LiveListener, NodePresence, PresenceBoard, PresencePart } from './ports.ts'
import type { SeenWriter } from './seen-writer.ts'
import { combine, type PersonState, Watches, type WatchesParts } from './watches.ts'

type PresenceParts = Omit<WatchesParts, 'stateHere'> & { seen: SeenWriter }

export class Presence implements AsyncDisposable {
  readonly watches: Watches
  readonly #own: OwnPresence
  readonly #board: PresenceBoard
  readonly #seen: SeenWriter

  constructor({ seen, ...parts }: PresenceParts) {
    this.#board = parts.board
    this.#seen = seen
    this.#own = new OwnPresence(parts.offlineDelayMs, (uid, state, at) => this.#changed(uid, state, at))
    this.watches = new Watches({ ...parts, stateHere: (uid) => this.#own.stateOf(uid) })
  }

  /** People who are connected to this node. */
  get people(): number {
    return this.#own.size
  }

  // -------------------------------------------------------------- connections of this node

  connected(uid: UserId): void {
    this.#own.connected(uid)
  }

  moved(uid: UserId, toForeground: boolean): void {
    this.#own.moved(uid, toForeground)
  }

  disconnected(listener: LiveListener, isForeground: boolean): void {
    this.watches.end(listener)
    this.#own.disconnected(listener.uid, isForeground)
    this.#seen.add(listener.uid, listener.device, Date.now())
  }

  // -------------------------------------------------------------- other nodes

  changedElsewhere(uid: UserId, part: PresencePart): void {
    this.watches.changedElsewhere(uid, part)
  }

  nodeGone(node: string): void {
    this.watches.nodeGone(node)
  }

  /** Changes may have been lost. */
  refresh(): void {
    void this.watches.refresh()
  }

  // -------------------------------------------------------------- asking

  /** Over all nodes, in the order asked. */
  async statesOf(uids: readonly UserId[]): Promise<PersonState[]> {
    const others = await this.#board.read(uids)
    return uids.map((uid, i) => combine(this.#own.stateOf(uid), others[i]!))
  }

  /** After the connections have gone: devices that were connected until now are noted. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#own.close()
    this.watches.close()
    await this.#seen[Symbol.asyncDispose]()
  }

  #changed(uid: UserId, state: NodePresence, at: number): void {
    this.#board.put(uid, state, at)
    this.watches.changedHere(uid, at)
  }
}
