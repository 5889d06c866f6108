/**
 * Receipts of direct conversations, live: the other person's devices hear that something was delivered or read. Who is
 * not there asks for the receipts of the store.
 */
import type { LogId, UserId } from '../../protocol/ids.ts'
import type { CommitFeed } from '../../services/store/contract.ts'
import { SILENT_FEED } from '../cluster/local-bus.ts'
import type { LiveDelivery } from './live-delivery.ts'
import type { KnownRights } from './live-rights.ts'
import { PacedReceipts } from './paced-receipts.ts'

export type ReceiptsParts = {
  delivery: LiveDelivery
  rights: KnownRights
  /** `hears`: every node hears of every commit, and tells its own devices. `tells`: the node that committed tells all. */
  reads: 'hears' | 'tells'
  /** There are other nodes. */
  hasOthers: boolean
  onError: (error: unknown) => void
}

export class Receipts implements Disposable {
  readonly #parts: ReceiptsParts
  readonly #elsewhere: PacedReceipts

  constructor(parts: ReceiptsParts) {
    this.#parts = parts
    this.#elsewhere = new PacedReceipts(parts.delivery)
  }

  /** Events that were not sent to other nodes, because there were too many. */
  get dropped(): number {
    return this.#elsewhere.dropped
  }

  [Symbol.dispose](): void {
    this.#elsewhere[Symbol.dispose]()
  }

  /** For a node without connections, whose calls move read pointers all the same. */
  get feed(): CommitFeed {
    return { ...SILENT_FEED, readMoved: (uid, log, seq) => this.readMoved(uid, log, seq) }
  }

  readMoved(uid: UserId, log: LogId, seq: number): void {
    const peer = peerOf(log, uid)
    if (peer === null) return
    const { delivery, reads } = this.#parts
    if (reads === 'hears' && !delivery.isListening(peer)) return
    this.#tellRead(uid, peer, log, seq).catch(this.#parts.onError)
  }

  /** A device of `uid` has acknowledged a direct log up to `seq`. */
  delivered(uid: UserId, log: LogId, seq: number): void {
    const peer = peerOf(log, uid)
    if (peer === null) return
    const { delivery, hasOthers } = this.#parts
    const isListening = delivery.isListening(peer)
    if (!isListening && !hasOthers) return
    const event = { kind: 'delivered', from: uid, log, seq } as const
    if (isListening) delivery.toUserHere(peer, event)
    if (hasOthers) this.#elsewhere.tell(peer, event)
  }

  async #tellRead(uid: UserId, peer: UserId, log: LogId, seq: number): Promise<void> {
    const { delivery, rights, reads } = this.#parts
    if (!(await rights.find(uid, log)).tellsRead) return
    const event = { kind: 'read', from: uid, log, seq } as const
    if (reads === 'hears') delivery.toUserHere(peer, event)
    else delivery.toUser(peer, event)
  }
}

/** The other person of a direct log; null of other logs, and of notes to oneself. By hand: it runs for every flushed cursor. */
function peerOf(log: LogId, uid: UserId): UserId | null {
  if (!log.startsWith('d:')) return null
  const colon = 2 + uid.length
  const isFirst = log[colon] === ':' && log.startsWith(uid, 2)
  const peer = isFirst ? log.slice(colon + 1) : log.slice(2, log.length - uid.length - 1)
  return peer === uid ? null : (peer as UserId)
}
