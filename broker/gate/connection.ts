/**
 * One connection: from its first byte to its last.
 *
 * Its states are those of {@link ConnectionState}. Chat topics are served here, by the shortest path; plain topics go to
 * {@link PlainSide}, which attaches the engine when the first one is used.
 */
import { asWochatError } from '../../protocol/errors.ts'
import type { DeviceId, UserId } from '../../protocol/ids.ts'
import type { SessionSubscriptions } from '../../services/store/contract.ts'
import type { InboxWire } from '../inbox/inbox-wire.ts'
import { PacketType, type ProtocolVersion, ReasonCode } from './codec/constants.ts'
import { type AckPacket, decodeAck, decodeDisconnect, decodePingreq, readPuback311 } from './codec/decode.ts'
import { encodeDisconnect, encodePubcomp, PINGRESP } from './codec/encode.ts'
import { Framer, type FrameSink } from './codec/framer.ts'
import { ProtocolViolation } from './codec/violation.ts'
import type { ConnectionState } from './connection-state.ts'
import type { GateServices } from './gate-services.ts'
import { openConnection } from './handshake.ts'
import type { Identity } from './identity.ts'
import { leaveSession } from './leave-session.ts'
import { type LiveConnection, LiveSide } from './live-side.ts'
import { Outbox } from './outbox.ts'
import { OutgoingRoom } from './outgoing-room.ts'
import { type PublishingConnection, PublishSide } from './publish-side.ts'
import { type ReplyingConnection, ReplySide } from './reply-side.ts'
import { SubscribeSide, type SubscribingConnection } from './subscribe-side.ts'
import type { Transport, TransportEvents } from './transport.ts'

/** First id of the gate's own outgoing packets; below are the engine's. */
const GATE_PACKET_ID_MIN = 0x8000
const CONNECT_FIRST_BYTE = 0x10

export class Connection
  implements
    TransportEvents,
    FrameSink,
    InboxWire,
    PublishingConnection,
    ReplyingConnection,
    SubscribingConnection,
    LiveConnection
{
  readonly services: GateServices
  readonly transport: Transport
  readonly outbox: Outbox
  readonly openedAt: number
  lastReceivedAt: number
  state: ConnectionState = 'new'
  /** `settling`: no new entries are sent; `silent`: nothing is read any more. See draining.ts. */
  leaving: 'no' | 'settling' | 'silent' = 'no'
  /** Made at the first PUBLISH: most devices only listen. */
  #publishes: PublishSide | null = null
  replies!: ReplySide
  /** Null in the open profile, and until the connection is open. */
  live: LiveSide | null = null
  readonly #framer: Framer
  #identity: Identity | null = null
  #room!: OutgoingRoom
  #subscribes!: SubscribeSide
  /** Since when the socket has not taken what is pending, ms; 0 when it has. */
  blockedSince = 0
  #wasClean = false
  /** Settles when the session has been left: cursors and state are in the store. */
  left: Promise<void> = Promise.resolve()

  constructor(services: GateServices, transport: Transport) {
    this.services = services
    this.transport = transport
    this.outbox = new Outbox(services.turn, transport)
    this.#framer = new Framer(services.limits.connectPacketBytesMax)
    this.openedAt = this.lastReceivedAt = services.clock.now
    services.registry.all.add(this)
    services.metrics.connections++
  }

  get identity(): Identity {
    if (this.#identity === null) throw new Error('the connection is not open')
    return this.#identity
  }

  get uid(): UserId {
    return this.identity.uid
  }

  get device(): DeviceId {
    return this.identity.device
  }

  get version(): ProtocolVersion {
    return this.identity.version
  }

  get packetBytesMax(): number {
    return this.identity.clientPacketBytesMax
  }

  get publishes(): PublishSide {
    this.#publishes ??= new PublishSide(this)
    return this.#publishes
  }

  get subscriptions(): SessionSubscriptions {
    return this.#subscribes.subscriptions
  }

  /** Whether one more unacknowledged reply is allowed now. */
  get hasReplyRoom(): boolean {
    return this.#room.hasReply
  }

  now(): number {
    return this.services.clock.now
  }

  // -------------------------------------------------------------- bytes in

  onData(chunk: Buffer): void {
    if (this.state === 'closed') return
    this.services.metrics.bytesReceived += chunk.length
    this.lastReceivedAt = this.services.clock.now
    // Anything else than a CONNECT is known by its first byte; its length must not make us wait for more of it.
    if (this.state === 'new' && this.#framer.pendingBytes === 0 && chunk[0] !== CONNECT_FIRST_BYTE) {
      this.#cutForViolation(
        new ProtocolViolation(ReasonCode.protocolError, 'the first packet is not a CONNECT [MQTT-3.1.0-1]'),
      )
      return
    }
    this.#read(() => this.#framer.push(chunk, this))
  }

  onFrame(firstByte: number, buffer: Buffer, start: number, end: number): boolean {
    if (this.state === 'open') {
      this.#onPacket(firstByte, buffer, start, end)
      return this.state === 'open' && this.#mayReadOn()
    }
    if (this.state === 'new') this.#onConnect(buffer, start, end)
    return false
  }

  onDrain(): void {
    this.blockedSince = 0
    this.#pumpAll()
  }

  #read(step: () => void): void {
    try {
      step()
    } catch (error) {
      if (error instanceof ProtocolViolation) this.#cutForViolation(error)
      else this.failed(error)
    }
    if (this.state !== 'closed' && this.#framer.stopped) this.transport.pause()
  }

  /** Goes on reading after the queue of answers has emptied, or the CONNECT was decided. */
  resumeReading(): void {
    if (this.state !== 'open' || !this.#framer.stopped || this.leaving === 'silent') return
    this.#read(() => this.#framer.resume(this))
    if (this.state === 'open' && !this.#framer.stopped) this.transport.resume()
  }

  /** We stopped reading, so that its silence is not the client's. */
  get isHeld(): boolean {
    return this.#framer.stopped
  }

  #mayReadOn(): boolean {
    if (this.leaving === 'silent') return false
    const { sendsWaitingMax, repliesWaitingMax } = this.services.limits
    return this.answersWaiting < sendsWaitingMax && this.replies.waiting < repliesWaitingMax
  }

  /** PUBLISHes that are not answered yet. */
  get answersWaiting(): number {
    return this.#publishes?.answers.waiting ?? 0
  }

  // -------------------------------------------------------------- CONNECT

  #onConnect(buffer: Buffer, start: number, end: number): void {
    this.state = 'opening'
    openConnection(this, this.#framer, buffer, start, end).catch((error: unknown) => this.failed(error))
  }

  /** The CONNECT is accepted. From here on the connection is registered, and its end leaves the session. */
  opening(identity: Identity): void {
    this.#identity = identity
  }

  /** The CONNACK is in the outbox; everything else follows. */
  opened(): void {
    const { services, identity } = this
    this.#framer.packetBytesMax = services.limits.packetBytesMax
    this.#room = new OutgoingRoom(identity, services.limits)
    this.replies = new ReplySide(this)
    this.#subscribes = new SubscribeSide(this)
    this.state = 'open'
    services.metrics.connects++
    if (identity.token !== null) this.live = new LiveSide(this)
    this.#subscribes.restore(identity.subscriptions)
    this.resumeReading()
  }

  // -------------------------------------------------------------- packets

  #onPacket(firstByte: number, buffer: Buffer, start: number, end: number): void {
    const version = this.version
    switch (firstByte >> 4) {
      case PacketType.publish:
        this.publishes.take(firstByte, buffer, start, end)
        return
      case PacketType.puback:
        this.#onPuback(firstByte, buffer, start, end)
        return
      case PacketType.pubrec:
      case PacketType.pubrel:
      case PacketType.pubcomp:
        this.#onQos2(
          decodeAck((firstByte >> 4) as 5 | 6 | 7, firstByte & 15, buffer, start, end, version),
          firstByte >> 4,
        )
        return
      case PacketType.subscribe:
        this.#subscribes.onSubscribe(buffer, start, end)
        return
      case PacketType.unsubscribe:
        this.#subscribes.onUnsubscribe(buffer, start, end)
        return
      case PacketType.pingreq:
        decodePingreq(buffer, start, end)
        this.outbox.raw(PINGRESP)
        return
      case PacketType.disconnect:
        this.#onDisconnect(buffer, start, end)
        return
      case PacketType.connect:
        throw new ProtocolViolation(ReasonCode.protocolError, 'a second CONNECT [MQTT-3.1.0-2]')
      default:
        throw new ProtocolViolation(
          ReasonCode.protocolError,
          'a packet that was not agreed on (section 4.12)',
        )
    }
  }

  #onPuback(firstByte: number, buffer: Buffer, start: number, end: number): void {
    const packetId = readPuback311(buffer, start, end)
    if (packetId !== 0) this.#acknowledged(packetId)
    else {
      // Longer, or id 0, which is refused.
      const ack = decodeAck(PacketType.puback, firstByte & 15, buffer, start, end, this.version)
      // A refusal by the receiver counts as acknowledged: the entry is in the log, and sending it again would not help.
      if (ack.reason >= 0x80) this.services.metrics.negativeAcks++
      this.#acknowledged(ack.packetId, ack)
    }
  }

  #acknowledged(packetId: number, ack?: AckPacket): void {
    if (packetId < GATE_PACKET_ID_MIN) {
      this.identity.plain.puback(packetId, ack?.reason ?? 0)
      // They share the client's Receive Maximum.
      this.identity.session.pump()
      return
    }
    this.identity.session.acknowledged(packetId, this.now())
    if (this.replies.waiting > 0) {
      this.replies.pump()
      if (this.#mayReadOn()) this.resumeReading()
    }
  }

  #onQos2(packet: AckPacket, type: number): void {
    const { packetId, reason } = packet
    if (type === PacketType.pubrel && this.#publishes?.release(packetId) === true) {
      this.outbox.raw(encodePubcomp(this.version, packetId))
    } else if (type === PacketType.pubrel) this.identity.plain.pubrel(packetId, reason)
    else if (type === PacketType.pubrec) this.identity.plain.pubrec(packetId, reason)
    else this.identity.plain.pubcomp(packetId, reason)
  }

  #onDisconnect(buffer: Buffer, start: number, end: number): void {
    const { reason, properties } = decodeDisconnect(buffer, start, end, this.version)
    const { identity } = this
    const expiry = properties?.sessionExpiryInterval
    if (expiry !== undefined) {
      if (expiry > 0 && identity.sessionExpirySeconds === 0) {
        throw new ProtocolViolation(
          ReasonCode.protocolError,
          'session expiry set after 0 (section 3.14.2.2.2)',
        )
      }
      identity.sessionExpirySeconds = Math.min(expiry, this.services.limits.sessionExpirySecondsMax)
    }
    this.#wasClean = reason !== ReasonCode.disconnectWithWill
    this.close()
  }

  // -------------------------------------------------------------- what goes out

  entryRoom(): number {
    return this.leaving === 'no' ? this.#room.entries : 0
  }

  plainRoom(): number {
    return this.#room.plain
  }

  #pumpAll(): void {
    if (this.state !== 'open') return
    this.replies.pump()
    this.identity.session.pump()
    this.identity.plain.pump()
  }

  // -------------------------------------------------------------- sync

  syncStarted(pending: number): void {
    this.replies.send(() => ({ kind: 'sync', phase: 'start', pending }))
  }

  syncDone(): void {
    this.replies.send(() => ({ kind: 'sync', phase: 'done' }))
  }

  // -------------------------------------------------------------- the end

  loginEnded(device: DeviceId | null, sid: string | null): void {
    if (this.#identity === null || (device !== null && this.device !== device)) return
    if (sid === null || this.identity.token?.sid === sid) this.disconnect(ReasonCode.notAuthorized)
  }

  /** An internal failure: the client is told to come back, and the failure is logged. */
  failed(error: unknown): void {
    if (this.state === 'closed') return
    const { code, cause } = asWochatError(error)
    if (code === 'internal') this.services.log.error({ err: cause ?? error }, 'a connection failed')
    this.disconnect(ReasonCode.implementationSpecificError)
  }

  #cutForViolation(violation: ProtocolViolation): void {
    this.services.metrics.violated(violation.reason)
    this.services.log.debug({ reason: violation.reason, detail: violation.detail }, 'protocol violation')
    this.disconnect(violation.reason)
  }

  /** Tells an MQTT 5 client why, then closes. Its will is published [MQTT-3.14.4-3]. */
  disconnect(reason: number): void {
    if (this.state === 'open' && this.version === 5) this.outbox.raw(encodeDisconnect(reason))
    this.close()
  }

  /** Sends what is in the outbox, then closes the socket. */
  close(): void {
    if (this.state === 'closed') return
    this.outbox.close()
    this.transport.end()
    this.#end()
  }

  destroy(): void {
    if (this.state === 'closed') return
    this.transport.destroy()
    this.#end()
  }

  onClose(): void {
    this.#end()
  }

  #end(): void {
    if (this.state === 'closed') return
    this.state = 'closed'
    this.#framer.close()
    const { registry, metrics, admission } = this.services
    registry.all.delete(this)
    metrics.connections--
    admission.closed()
    const identity = this.#identity
    if (identity === null) return
    this.live?.close()
    registry.remove(this, identity.clientId, identity.token === null ? null : identity.uid)
    const end = { publishWill: !this.#wasClean, now: this.now() }
    this.left = leaveSession(this.services, identity, end).catch((error: unknown) => {
      this.services.log.warn(
        { err: error },
        'a session was not closed in the store; it is adopted at the next start',
      )
    })
    registry.leaves(identity.clientId, this.left)
  }
}
