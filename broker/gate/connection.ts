/**
 * One connection: from its first byte to its last.
 *
 * States: `new` (waits for a CONNECT), `opening` (token and session are looked up; what the client sends meanwhile
 * waits), `open`, `closed`. Chat topics are served here, by the shortest path; plain topics go to {@link PlainSide},
 * which attaches the engine when the first one is used.
 */
import { asWochatError, ERRORS, WochatError } from '../../protocol/errors.ts'
import type { ClientId, DeviceId, UserId } from '../../protocol/ids.ts'
import type { LiveEvent, Reply } from '../../protocol/reply.ts'
import { callTopicPrefix, liveTopic, sendTopic } from '../../protocol/topics.ts'
import type { VerifiedToken } from '../../services/auth/token.ts'
import type { SessionSubscriptions } from '../../services/store/contract.ts'
import type { InboxSession, InboxWire } from '../inbox/inbox-session.ts'
import { Answer, Answers } from './answers.ts'
import { PacketType, type ProtocolVersion, ReasonCode } from './codec/constants.ts'
import {
  type AckPacket,
  decodeAck,
  decodeDisconnect,
  decodePingreq,
  decodePublish,
  type PublishPacket,
  publishTopicEquals,
  readPuback311,
} from './codec/decode.ts'
import { encodeDisconnect, encodePubcomp, PINGRESP } from './codec/encode.ts'
import { Framer, type FrameSink } from './codec/framer.ts'
import { ProtocolViolation } from './codec/violation.ts'
import type { GateServices } from './gate-services.ts'
import { openConnection } from './handshake.ts'
import { MessageSends } from './message-sends.ts'
import { OperationCalls } from './operation-calls.ts'
import { Outbox } from './outbox.ts'
import type { PlainSide } from './plain.ts'
import { ReplySide } from './reply-side.ts'
import { SubscribeSide } from './subscribe-side.ts'
import { type Acl, mayPublish } from './topic-rights.ts'
import type { Transport, TransportEvents } from './transport.ts'

/** First id of the gate's own outgoing packets; below are the engine's. */
export const GATE_PACKET_ID_MIN = 0x8000
/** Topic aliases that a client may use towards us (MQTT 5). */
export const TOPIC_ALIAS_MAX = 16
const CONNECT_FIRST_BYTE = 0x10
const PUBLISH_QOS0 = 0x30
const QOS_MASK = 0x06
const QOS2_HALF_OPEN_MAX = 256

/** What a CONNECT settled; all of it is known before the connection is `open`. */
export type Identity = {
  version: ProtocolVersion
  clientId: string
  uid: UserId
  device: DeviceId
  /** Null in the open profile. */
  token: VerifiedToken | null
  acl: Acl
  session: InboxSession
  subscriptions: SessionSubscriptions
  plain: PlainSide
  keepAliveSeconds: number
  /** Unacknowledged packets that the client takes at a time. */
  receiveMaximum: number
  /** Whole packet that the client takes. */
  clientPacketBytesMax: number
  sessionExpirySeconds: number
}

export class Connection implements TransportEvents, FrameSink, InboxWire {
  readonly services: GateServices
  readonly transport: Transport
  readonly outbox: Outbox
  readonly openedAt: number
  lastReceivedAt: number
  state: 'new' | 'opening' | 'open' | 'closed' = 'new'
  answers!: Answers
  replies!: ReplySide
  readonly #framer: Framer
  #identity: Identity | null = null
  #sendTopic!: Buffer
  #sendTopicText = ''
  #callPrefix = ''
  #sends!: MessageSends
  #calls!: OperationCalls
  #subscribes!: SubscribeSide
  #aliases: Map<number, string> | null = null
  /** Packet ids of QoS 2 sends between PUBREC and PUBREL. */
  #halfOpen: Set<number> | null = null
  #blockedSince = 0
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
    this.#blockedSince = 0
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
    if (this.state !== 'open' || !this.#framer.stopped) return
    this.#read(() => this.#framer.resume(this))
    if (this.state === 'open' && !this.#framer.stopped) this.transport.resume()
  }

  #mayReadOn(): boolean {
    const { sendsWaitingMax, repliesWaitingMax } = this.services.limits
    return this.answers.waiting < sendsWaitingMax && this.replies.waiting < repliesWaitingMax
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
    const { services, outbox, identity } = this
    const { version, uid, session } = identity
    this.#framer.packetBytesMax = services.limits.packetBytesMax
    this.#sendTopicText = sendTopic(uid)
    this.#sendTopic = Buffer.from(this.#sendTopicText)
    this.#callPrefix = callTopicPrefix(uid)
    this.answers = new Answers(version, outbox, () => this.close())
    this.replies = new ReplySide({
      version,
      outbox,
      session,
      room: () => this.#replyRoom(),
      now: () => this.now(),
      packetBytesMax: identity.clientPacketBytesMax,
    })
    this.#sends = new MessageSends(this)
    this.#calls = new OperationCalls(this)
    this.#subscribes = new SubscribeSide(this)
    this.state = 'open'
    services.metrics.connects++
    this.#subscribes.restore(identity.subscriptions)
    this.resumeReading()
  }

  // -------------------------------------------------------------- packets

  #onPacket(firstByte: number, buffer: Buffer, start: number, end: number): void {
    const version = this.version
    switch (firstByte >> 4) {
      case PacketType.publish:
        this.#onPublish(firstByte, buffer, start, end)
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

  /** A QoS 1 send on MQTT 3.1.1, and on 5 without properties, is read in place; all else is decoded. */
  #onPublish(firstByte: number, buffer: Buffer, start: number, end: number): void {
    const topic = this.#sendTopic
    if ((firstByte & QOS_MASK) === 0x02 && publishTopicEquals(buffer, start, end, topic)) {
      const at = start + 2 + topic.length
      const payload = at + (this.version === 5 ? 3 : 2)
      if (payload <= end && (this.version === 4 || buffer[at + 2] === 0)) {
        const packetId = (buffer[at]! << 8) | buffer[at + 1]!
        if (packetId === 0)
          throw new ProtocolViolation(ReasonCode.protocolError, 'packet id 0 [MQTT-2.2.1-2]')
        this.#sends.take(packetId, 1, buffer, payload, end)
        return
      }
    }
    this.#onOtherPublish(decodePublish(firstByte & 15, buffer, start, end, this.version), buffer)
  }

  #onOtherPublish(packet: PublishPacket, buffer: Buffer): void {
    const topic = this.#resolveAlias(packet)
    const { packetId, qos, payloadStart, payloadEnd } = packet
    const isSend = topic === this.#sendTopicText
    if (isSend || topic.startsWith(this.#callPrefix)) {
      if (qos === 2 && !this.#beginHalfOpen(packetId)) {
        this.#repeatPubrec(packetId)
      } else if (isSend) {
        this.#sends.take(packetId, qos, buffer, payloadStart, payloadEnd)
      } else {
        this.services.metrics.calls++
        this.#calls.take(topic.slice(this.#callPrefix.length), packet, buffer)
      }
      return
    }
    const answer = new Answer(packetId, qos)
    this.answers.push(answer)
    if (!mayPublish(this.identity.token === null ? null : this.uid, this.identity.acl, topic)) {
      this.refusePublish(answer, new WochatError('topic_denied'), {})
      return
    }
    this.services.metrics.plainPublishes++
    // The chunk is reused by nobody, but it is larger than the message that the engine may hold for long.
    const payload = Buffer.from(buffer.subarray(payloadStart, payloadEnd))
    this.identity.plain.publish({ ...packet, topic }, payload, (refusal) => {
      if (refusal === null) this.decide(answer)
      else this.refusePublish(answer, refusal, {})
    })
  }

  #resolveAlias({ topic, properties }: PublishPacket): string {
    const alias = properties?.topicAlias
    if (alias === undefined) return topic
    if (alias > TOPIC_ALIAS_MAX) {
      throw new ProtocolViolation(
        ReasonCode.topicAliasInvalid,
        'topic alias above Topic Alias Maximum [MQTT-3.3.2-9]',
      )
    }
    this.#aliases ??= new Map()
    if (topic !== '') this.#aliases.set(alias, topic)
    const known = this.#aliases.get(alias)
    if (known === undefined)
      throw new ProtocolViolation(ReasonCode.protocolError, 'unknown topic alias (section 3.3.2.3.4)')
    return known
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
    if (type === PacketType.pubrel && this.#halfOpen?.delete(packetId) === true) {
      this.outbox.raw(encodePubcomp(this.version, packetId))
    } else if (type === PacketType.pubrel) this.identity.plain.pubrel(packetId, reason)
    else if (type === PacketType.pubrec) this.identity.plain.pubrec(packetId, reason)
    else this.identity.plain.pubcomp(packetId, reason)
  }

  /** False when the id is half open already: the PUBLISH is a repetition [MQTT-4.3.3-10]. */
  #beginHalfOpen(packetId: number): boolean {
    this.#halfOpen ??= new Set()
    if (this.#halfOpen.has(packetId)) return false
    if (this.#halfOpen.size >= QOS2_HALF_OPEN_MAX) {
      throw new ProtocolViolation(ReasonCode.receiveMaximumExceeded, 'too many half-open QoS 2 packets')
    }
    this.#halfOpen.add(packetId)
    return true
  }

  #repeatPubrec(packetId: number): void {
    const answer = new Answer(packetId, 2)
    this.answers.push(answer)
    this.decide(answer)
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

  // -------------------------------------------------------------- answers

  sendAccepted(answer: Answer, log: string, seq: number, at: number, id: string | null): void {
    if (this.state !== 'open') return
    this.replies.send(() => ({
      kind: 'accepted',
      ...(id !== null && { id }),
      log,
      seq,
      at,
      ...(id === null && { idempotent: false as const }),
    }))
    this.decide(answer)
  }

  /** Refuses a PUBLISH: on the reply topic, and in its acknowledgement as the version allows. */
  refusePublish(
    answer: Answer,
    error: WochatError,
    about: { id?: string } | { op: string; ref?: string },
    correlationData?: Buffer,
  ): void {
    this.services.metrics.refused(error.code)
    if (error.code === 'internal') this.services.log.error({ err: error.cause ?? error }, 'a publish failed')
    if (this.state !== 'open') return
    this.replies.send(() => ({ kind: 'refused', ...about, ...error.toWire() }) as Reply, correlationData)
    if (this.version === 5) {
      answer.reason = ERRORS[error.code].reason
      answer.reasonString = error.code
      // The packet id of a refused QoS 2 PUBLISH is free again with its PUBREC [section 4.3.3].
      if (answer.qos === 2) this.#halfOpen?.delete(answer.packetId)
    } else {
      answer.cuts = error.retryable && answer.qos > 0
    }
    this.decide(answer)
  }

  decide(answer: Answer): void {
    if (this.state !== 'open') return
    this.answers.decided(answer)
    if (
      this.#framer.stopped &&
      this.state === 'open' &&
      this.answers.waiting <= this.services.limits.sendsWaitingMax / 2
    ) {
      this.resumeReading()
    }
  }

  sendLive(event: LiveEvent): void {
    if (this.state !== 'open' || !this.#subscribes.subscriptions.live) return
    const payload = Buffer.from(JSON.stringify(event))
    this.outbox.publish(
      PUBLISH_QOS0,
      Buffer.from(liveTopic(this.uid)),
      0,
      this.version,
      payload,
      0,
      payload.length,
    )
  }

  // -------------------------------------------------------------- room on the way out

  /** Everything that is unacknowledged on this connection, ours and the engine's, against the client's Receive Maximum. */
  get #freeOfReceiveMaximum(): number {
    const { receiveMaximum, session, plain } = this.identity
    return receiveMaximum - session.inflight.unacked - plain.inflight
  }

  entryRoom(): number {
    const { session } = this.identity
    return Math.max(
      0,
      Math.min(this.services.limits.windowEntries - session.inflight.entries, this.#freeOfReceiveMaximum),
    )
  }

  /** The engine's share: what Receive Maximum leaves, within its own window. */
  plainRoom(): number {
    const { plain } = this.identity
    return Math.max(
      0,
      Math.min(this.services.limits.plainInflightMax - plain.inflight, this.#freeOfReceiveMaximum),
    )
  }

  #replyRoom(): boolean {
    const { inflight } = this.identity.session
    return (
      inflight.hasFreeId &&
      inflight.replies < this.services.limits.windowEntries &&
      this.#freeOfReceiveMaximum > 0
    )
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

  /** Called about once a second: what takes too long is cut. */
  checkTimeouts(now: number): void {
    const { limits } = this.services
    if (this.state === 'new' || this.state === 'opening') {
      if (now - this.openedAt > limits.connectTimeoutMs) this.destroy()
      return
    }
    if (this.state !== 'open') return
    const { keepAliveSeconds, token, session } = this.identity
    // One and a half times the keep alive [MQTT-3.1.2-22].
    if (
      keepAliveSeconds > 0 &&
      now - this.lastReceivedAt > keepAliveSeconds * 1500 &&
      !this.#framer.stopped
    ) {
      this.disconnect(ReasonCode.keepAliveTimeout)
    } else if (token !== null && token.sid === null && token.expiresAt <= now) {
      this.disconnect(ReasonCode.notAuthorized)
    } else if (this.#isBlocked(now)) {
      this.services.metrics.slowCuts++
      this.destroy()
    } else if (session.inflight.unacked > 0 && now - session.inflight.waitingSince > limits.ackTimeoutMs) {
      this.services.metrics.slowCuts++
      this.disconnect(ReasonCode.unspecifiedError)
    }
  }

  #isBlocked(now: number): boolean {
    if (this.transport.pendingBytes === 0) {
      this.#blockedSince = 0
      return false
    }
    if (this.#blockedSince === 0) this.#blockedSince = now
    return now - this.#blockedSince > this.services.limits.drainTimeoutMs
  }

  loginEnded(device: DeviceId, sid: string | null): void {
    if (this.#identity === null || this.device !== device) return
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
    registry.remove(this, identity.clientId, identity.token === null ? null : identity.uid)
    this.left = this.#leaveSession(identity).catch((error: unknown) => {
      this.services.log.warn(
        { err: error },
        'a session was not closed in the store; it is adopted at the next start',
      )
    })
  }

  /** Flushes the cursors and lets the session wait for its device, or end. */
  async #leaveSession({ session, plain, sessionExpirySeconds, clientId }: Identity): Promise<void> {
    const { store, inbox, registry } = this.services
    const plainLeft = plain.close({ publishWill: !this.#wasClean, sessionExpirySeconds })
    session.stop(this.now())
    if (session.number === null) return plainLeft
    const ends = sessionExpirySeconds === 0
    if (!ends && session.inflight.entries > 0) registry.detach(clientId as ClientId, session)
    // A takeover changes the generation of the session while this waits; what is written here is of the old one.
    const { number, generation } = session
    const expiresAt = ends ? null : Date.now() + sessionExpirySeconds * 1000
    await inbox.cursors.flush(session)
    await store.closeSession({ clientId: clientId as ClientId, session: number, generation, expiresAt })
    await plainLeft
  }
}
