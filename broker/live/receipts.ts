/**
 * Receipts of direct conversations, live: the other person's devices hear that something was delivered or read. Who is
 * not there asks for the receipts of the store.
 */
import { type LogId, peerOf, type UserId } from '../../protocol/ids.ts'
import type { CommitFeed } from '../../services/store/contract.ts'
import { SILENT_FEED } from '../cluster/local-bus.ts'
import type { LiveDelivery } from './live-delivery.ts'
import type { KnownRights } from './live-rights.ts'
import { PacedReceipts } from './paced-receipts.ts'

type ReceiptsParts = {
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
    if (peer === null || peer === uid) return
    const { delivery, reads } = this.#parts
    if (reads === 'hears' && !delivery.isListening(peer)) return
    this.#tellRead(uid, peer, log, seq).catch(this.#parts.onError)
  }

  /** A device of `uid` has acknowledged a log up to `seq`; only in a direct one somebody is told. */
  delivered(uid: UserId, log: LogId, seq: number): void {
    const peer = peerOf(log, uid)
    if (peer === null || peer === uid) return
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
