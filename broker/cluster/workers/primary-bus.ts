/**
 * The primary's end of the bus: it knows which worker holds which device and passes on what workers say to each other.
 * It holds no connections itself; its operator's port asks through it like a worker does.
 */
import type { ClientId, DeviceId, UserId } from '../../../protocol/ids.ts'
import type { PresencePart } from '../../../services/presence/ports.ts'
import {
  type Bus,
  type BusAnswer,
  type DeviceClaim,
  NodeAwayError,
  type NodeId,
  type NodeInfo,
  newNodeId,
  type SignalAudience,
  type SignalCounters,
} from '../bus.ts'
import { NO_PRESENCE, SILENT_FEED } from '../local-bus.ts'
import { DeviceClaims, type NumberedClaim } from './device-claims.ts'
import type { Peer } from './peer.ts'
import { PresenceTable } from './presence-table.ts'

const ASK_TIMEOUT_MS = 5000

export type PrimarySettings = {
  name: string
  /** How long a worker may take to close a device that connects elsewhere. */
  takeoverTimeoutMs: number
}

type Member = { info: NodeInfo; peer: Peer }

type Ask = { node: NodeId; question: string; params: unknown; timeoutMs?: number | undefined }

export class PrimaryBus implements Bus {
  readonly node: NodeId
  readonly hasOthers = true
  readonly isOrdered = true
  readonly outgoing = SILENT_FEED
  readonly signals: SignalCounters = { sent: 0, dropped: 0 }
  /** Nobody is connected to the primary, and nobody watches there. */
  readonly presence = NO_PRESENCE
  readonly #settings: PrimarySettings
  readonly #table = new PresenceTable()
  readonly #claims = new DeviceClaims()
  readonly #members = new Map<NodeId, Member>()
  readonly #ofPeer = new Map<Peer, NodeId>()
  readonly #answers = new Map<string, BusAnswer>()

  constructor(settings: PrimarySettings) {
    this.#settings = settings
    this.node = newNodeId(settings.name)
  }

  /** Serves a worker; it is a node from the moment when its own bus opens. */
  attach(peer: Peer): void {
    const from = () => this.#ofPeer.get(peer) ?? ''
    peer.on('bus.join', (info: NodeInfo) => {
      this.#ofPeer.set(peer, info.id)
      this.#members.set(info.id, { info, peer })
    })
    peer.on('bus.announce', (info: NodeInfo) => {
      const member = this.#members.get(info.id)
      if (member !== undefined) member.info = info
    })
    peer.on('bus.leave', () => this.#members.delete(from()))
    peer.on('bus.claim', (claim: NumberedClaim) => this.#claim(from(), claim))
    peer.on('bus.release', ({ clientId, n }: { clientId: ClientId; n: number }) =>
      this.#claims.release(from(), clientId, n),
    )
    peer.on('bus.closeElsewhere', (clientId: ClientId) => this.#closeElsewhere(from(), clientId))
    peer.on('bus.nodes', () => this.nodes())
    peer.on('bus.devicesOf', (uid: UserId) => this.devicesOf(uid))
    peer.on('bus.ask', (ask: Ask) => this.#pass(from(), ask))
    peer.on('bus.plain', ({ frame, uid }: { frame: Uint8Array; uid: UserId | null }) =>
      this.#passPlain(from(), frame, uid),
    )
    peer.on('bus.signal', ({ audience, frame }: { audience: SignalAudience; frame: Uint8Array }) =>
      this.#passSignal(from(), audience, frame),
    )
    this.#servePresence(peer, from)
  }

  #servePresence(peer: Peer, from: () => NodeId): void {
    peer.on('presence.put', ({ uid, part }: { uid: UserId; part: PresencePart }) => {
      for (const node of this.#table.put(uid, part))
        this.#members.get(node)?.peer.tell('presence.changed', { uid, part })
    })
    peer.on('presence.read', (uids: UserId[]) => this.#table.read(from(), uids))
    peer.on('presence.follow', (uids: UserId[]) => {
      this.#table.follow(from(), uids)
      return this.#table.read(from(), uids)
    })
    peer.on('presence.unfollow', (uids: UserId[]) => this.#table.unfollow(from(), uids))
  }

  /** The worker is gone, with everything that it held. */
  detach(peer: Peer): void {
    const node = this.#ofPeer.get(peer)
    peer.channelClosed()
    if (node === undefined) return
    this.#ofPeer.delete(peer)
    this.#members.delete(node)
    this.#claims.drop(node)
    this.#table.drop(node)
    for (const other of this.#members.values()) other.peer.tell('bus.nodeGone', node)
  }

  /** The primary holds nothing that others would tell of, and is not in the list of nodes. */
  async open(): Promise<void> {}

  // -------------------------------------------------------------- devices

  /** The claim's place in the order, or null when it is lost. */
  #claim(node: NodeId, claim: NumberedClaim): number | null {
    const taken = this.#claims.claim(node, claim)
    if (taken === null) return null
    const { loser } = taken
    if (loser !== null) {
      const lost = { clientId: loser.claim.clientId, n: loser.n }
      this.#members.get(loser.node)?.peer.tell('bus.deviceLost', lost)
    }
    return taken.order
  }

  async #closeElsewhere(asking: NodeId, clientId: ClientId): Promise<void> {
    const holder = this.#claims.find(clientId)
    if (holder === undefined || holder.node === asking) return
    const { takeoverTimeoutMs } = this.#settings
    await this.#members.get(holder.node)?.peer.ask('bus.closeDevice', clientId, takeoverTimeoutMs)
  }

  closeElsewhere(clientId: ClientId): Promise<void> {
    return this.#closeElsewhere(this.node, clientId)
  }

  /** No device connects to the primary. */
  async claim(_claim: DeviceClaim): Promise<'held'> {
    return 'held'
  }

  release(): void {}

  async watch(): Promise<void> {}

  unwatch(): void {}

  // -------------------------------------------------------------- nodes

  async nodes(): Promise<NodeInfo[]> {
    return [...this.#members.values()].map(({ info }) => info)
  }

  async devicesOf(uid: UserId): Promise<{ device: DeviceId; node: NodeId }[]> {
    return this.#claims.ofUser(uid)
  }

  ask(node: NodeId, question: string, params: unknown, timeoutMs?: number): Promise<unknown> {
    return this.#pass(this.node, { node, question, params, timeoutMs })
  }

  async #pass(from: NodeId, { node, question, params, timeoutMs = ASK_TIMEOUT_MS }: Ask): Promise<unknown> {
    const own = node === this.node ? this.#answers.get(question) : undefined
    if (own !== undefined) return own(params, from)
    const member = this.#members.get(node)
    if (member === undefined) throw new NodeAwayError(`${node} is not there to answer ${question}`)
    return member.peer.ask('bus.asked', { question, params, from }, timeoutMs)
  }

  answer(question: string, answer: BusAnswer): void {
    this.#answers.set(question, answer)
  }

  // -------------------------------------------------------------- plain topics

  sendPlain(frame: Buffer, uid: UserId | null): void {
    this.#passPlain(this.node, frame, uid)
  }

  #passPlain(from: NodeId, frame: Uint8Array, uid: UserId | null): void {
    const holders = uid === null ? null : new Set(this.#claims.ofUser(uid).map(({ node }) => node))
    for (const [node, { peer }] of this.#members) {
      if (node !== from && (holders === null || holders.has(node))) peer.tell('bus.plain', frame)
    }
  }

  // -------------------------------------------------------------- what is live

  signal(audience: SignalAudience, frame: Buffer): void {
    this.#passSignal(this.node, audience, frame)
  }

  /** Which workers have members of a group is not known here: all of them hear of it. */
  #passSignal(from: NodeId, audience: SignalAudience, frame: Uint8Array): void {
    const holders =
      'uid' in audience ? new Set(this.#claims.ofUser(audience.uid).map(({ node }) => node)) : null
    for (const [node, { peer }] of this.#members) {
      if (node === from || (holders !== null && !holders.has(node))) continue
      if (peer.isCongested) this.signals.dropped++
      else {
        this.signals.sent++
        peer.tell('bus.signal', frame)
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
