/**
 * The bus of a worker: the processes of one machine around one store. Doorbells come with the feed of the store itself,
 * which tells every worker of every commit in order; everything else goes through the primary ({@link PrimaryBus}).
 */
import type { ClientId, DeviceId, UserId } from '../../../protocol/ids.ts'
import type { PresencePart } from '../../../services/presence/ports.ts'
import {
  type Bus,
  type BusAnswer,
  type DeviceClaim,
  type NodeId,
  type NodeInfo,
  type NodeSide,
  newNodeId,
  type SignalAudience,
  type SignalCounters,
} from '../bus.ts'
import { type LocalNode, SILENT_FEED, SILENT_SIDE } from '../local-bus.ts'
import type { Peer } from './peer.ts'
import { WorkerPresence } from './worker-presence.ts'

const ANNOUNCE_EVERY_MS = 1000

export class WorkerBus implements Bus {
  readonly node: NodeId
  readonly hasOthers = true
  readonly isOrdered = true
  readonly outgoing = SILENT_FEED
  readonly signals: SignalCounters = { sent: 0, dropped: 0 }
  readonly presence: WorkerPresence
  readonly #peer: Peer
  readonly #self: LocalNode
  readonly #startedAt = Date.now()
  readonly #answers = new Map<string, BusAnswer>()
  /** The claims of this worker as it numbered them. */
  readonly #numbers = new WeakMap<DeviceClaim, number>()
  readonly #latest = new Map<ClientId, number>()
  #side = SILENT_SIDE
  #nextClaim = 1
  #announcing: NodeJS.Timeout | null = null

  constructor(peer: Peer, self: LocalNode) {
    this.#peer = peer
    this.#self = self
    this.node = newNodeId(self.name)
    this.presence = new WorkerPresence(peer, this.node)
    peer.on('bus.closeDevice', (clientId: ClientId) => this.#side.listener.closeDevice(clientId))
    peer.on('bus.deviceLost', (lost: { clientId: ClientId; n: number }) => this.#deviceLost(lost))
    peer.on('bus.nodeGone', (node: NodeId) => this.#side.listener.nodeGone(node))
    peer.on('bus.plain', (frame: Uint8Array) => this.#side.listener.plainReceived(asBuffer(frame)))
    peer.on('bus.signal', (frame: Uint8Array) => this.#side.listener.signalReceived(asBuffer(frame)))
    peer.on('presence.changed', ({ uid, part }: { uid: UserId; part: PresencePart }) =>
      this.#side.listener.presenceChanged(uid, part),
    )
    peer.on('bus.asked', (asked: { question: string; params: unknown; from: NodeId }) => {
      const answer = this.#answers.get(asked.question)
      if (answer === undefined) throw new Error(`${asked.question} is not answered here`)
      return answer(asked.params, asked.from)
    })
  }

  async open(side: NodeSide): Promise<void> {
    this.#side = side
    this.#announcing = setInterval(() => this.#announce(), ANNOUNCE_EVERY_MS)
    this.#announcing.unref()
    await this.#peer.ask('bus.join', this.#info())
  }

  // -------------------------------------------------------------- devices

  async closeElsewhere(clientId: ClientId): Promise<void> {
    // A worker that does not close it in time is fenced by the store, as one that is gone.
    await this.#peer.ask('bus.closeElsewhere', clientId).catch(() => undefined)
  }

  async claim(claim: DeviceClaim): Promise<'held' | 'lost'> {
    const n = this.#nextClaim++
    this.#numbers.set(claim, n)
    this.#latest.set(claim.clientId, n)
    const order = (await this.#peer.ask('bus.claim', { n, claim })) as number | null
    if (order === null) return 'lost'
    claim.order = order
    return 'held'
  }

  release(claim: DeviceClaim): void {
    const n = this.#numbers.get(claim)
    if (n === undefined) return
    if (this.#latest.get(claim.clientId) === n) this.#latest.delete(claim.clientId)
    this.#peer.tell('bus.release', { clientId: claim.clientId, n })
  }

  /** Every worker hears of every group. */
  async watch(): Promise<void> {}

  unwatch(): void {}

  /** The device may have come back here since: then it is not the connection that was lost. */
  #deviceLost({ clientId, n }: { clientId: ClientId; n: number }): void {
    if (this.#latest.get(clientId) === n) this.#side.listener.deviceLost(clientId)
  }

  // -------------------------------------------------------------- nodes

  async nodes(): Promise<NodeInfo[]> {
    return (await this.#peer.ask('bus.nodes', null)) as NodeInfo[]
  }

  async devicesOf(uid: UserId): Promise<{ device: DeviceId; node: NodeId }[]> {
    return (await this.#peer.ask('bus.devicesOf', uid)) as { device: DeviceId; node: NodeId }[]
  }

  ask(node: NodeId, question: string, params: unknown, timeoutMs?: number): Promise<unknown> {
    return this.#peer.ask('bus.ask', { node, question, params, timeoutMs })
  }

  answer(question: string, answer: BusAnswer): void {
    this.#answers.set(question, answer)
  }

  #info(): NodeInfo {
    const { name, version, roles, adminUrl } = this.#self
    const { state, load } = this.#side.describe()
    const startedAt = this.#startedAt
    return { id: this.node, name, version, roles: [...roles], state, startedAt, adminUrl: adminUrl(), load }
  }

  #announce(): void {
    this.#peer.tell('bus.announce', this.#info())
  }

  // -------------------------------------------------------------- plain topics

  sendPlain(frame: Buffer, uid: UserId | null): void {
    this.#peer.tell('bus.plain', { frame, uid })
  }

  // -------------------------------------------------------------- what is live

  signal(audience: SignalAudience, frame: Buffer): void {
    if (this.#peer.isCongested) {
      this.signals.dropped++
      return
    }
    this.signals.sent++
    this.#peer.tell('bus.signal', { audience, frame })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#announcing !== null) clearInterval(this.#announcing)
    this.#peer.tell('bus.leave', null)
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
