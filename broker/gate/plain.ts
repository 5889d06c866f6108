/**
 * The plain side of one connection: what it publishes and subscribes besides the chat topics, through the engine.
 * The engine is attached when it is first needed, because an attached connection costs some ten times an idle one.
 */
import type { WochatError } from '../../protocol/errors.ts'
import type { UserId } from '../../protocol/ids.ts'
import type { Engine, EngineClosedReason, EngineDelivery, EngineLink, EngineSink } from '../engine/engine.ts'
import { type ProtocolVersion, ReasonCode } from './codec/constants.ts'
import type { PublishPacket, Subscription, Will } from './codec/decode.ts'
import { encodePubcomp, encodePublish, encodePubrel } from './codec/encode.ts'

/** With this much waiting for the kernel, deliveries wait for the socket to drain. */
const OUTBOX_BYTES_MAX = 256 * 1024

const CLOSE_REASONS: Record<EngineClosedReason, number> = {
  slow: ReasonCode.quotaExceeded,
  overload: ReasonCode.receiveMaximumExceeded,
  store: ReasonCode.serverBusy,
  engine: ReasonCode.implementationSpecificError,
  takenOver: ReasonCode.sessionTakenOver,
}

/** What the plain side needs of its connection. */
interface PlainWire {
  readonly outbox: { raw(packet: Buffer): void; readonly pendingBytes: number }
  /** Messages of QoS 1 and 2 that may follow beyond {@link PlainSide.inflight}. */
  plainRoom(): number
  /** Cuts the connection; {@link PlainSide.close} follows. */
  disconnect(reason: number): void
}

export class PlainSide {
  readonly #engine: Engine
  readonly #wire: PlainWire
  readonly #clientId: string
  readonly #version: ProtocolVersion
  readonly #cleanStart: boolean
  readonly #sessionExpirySeconds: number
  readonly #will: Will | undefined
  /** Of the open profile, whose sessions are in no table of the gate. */
  readonly #isOpenProfile: boolean
  readonly #packetBytesMax: number
  #link: EngineLink | null = null

  constructor(parts: {
    engine: Engine
    connection: PlainWire
    clientId: string
    version: ProtocolVersion
    cleanStart: boolean
    sessionExpirySeconds: number
    will: Will | undefined
    /** Null in the open profile. */
    uid: UserId | null
    /** Whole packet that the client takes. */
    clientPacketBytesMax: number
  }) {
    this.#engine = parts.engine
    this.#wire = parts.connection
    this.#clientId = parts.clientId
    this.#version = parts.version
    this.#cleanStart = parts.cleanStart
    this.#sessionExpirySeconds = parts.sessionExpirySeconds
    this.#will = parts.will
    this.#isOpenProfile = parts.uid === null
    this.#packetBytesMax = parts.clientPacketBytesMax
    this.#engine.connected(parts.clientId, parts.cleanStart)
  }

  /** Messages of the engine that the client has not acknowledged. */
  get inflight(): number {
    return this.#link?.inflight ?? 0
  }

  /** Brings the connection into the engine. Resolves when its will is on disk; the CONNACK waits for it. */
  attach(): Promise<void> {
    return this.#attached().ready
  }

  #attached(): EngineLink {
    this.#link ??= this.#engine.attach({
      clientId: this.#clientId,
      version: this.#version,
      cleanStart: this.#cleanStart,
      sessionExpirySeconds: this.#sessionExpirySeconds,
      will: this.#will,
      endsByTime: this.#isOpenProfile,
      sink: this.#sink(),
    })
    return this.#link
  }

  // -------------------------------------------------------------- from the client

  /**
   * Publishes on a topic that the client may use. `payload` is a copy that nobody writes again. `decided` is called
   * once: null when the message is stored and routed, and its PUBACK or PUBREC is due.
   */
  publish(packet: PublishPacket, payload: Buffer, decided: (refusal: WochatError | null) => void): void {
    const { topic, qos, retain, packetId } = packet
    // An alias stands for a topic on one connection only.
    const { topicAlias: _, ...properties } = packet.properties ?? {}
    const hasProperties = Object.keys(properties).length > 0
    const publication = { topic, payload, qos, retain, properties: hasProperties ? properties : null }
    this.#attached().publish(publication, packetId, decided)
  }

  /** Resolves with the granted QoS, or a SUBACK code from 0x80 up. */
  subscribe(subscription: Subscription, identifier?: number): Promise<number> {
    return this.#attached().subscribe(subscription, identifier)
  }

  /** Resolves with the UNSUBACK code. */
  async unsubscribe(filter: string): Promise<number> {
    // A session that has subscriptions was attached at its CONNECT.
    return this.#link === null ? ReasonCode.noSubscriptionExisted : this.#link.unsubscribe(filter)
  }

  /** A reason of 0x80 or more counts as acknowledged: sending it again would not help. */
  puback(packetId: number, _reason?: number): void {
    this.#link?.puback(packetId)
  }

  pubrec(packetId: number, reason: number): void {
    if (this.#link !== null) this.#link.pubrec(packetId, reason)
    else if (reason < 0x80)
      this.#send(encodePubrel(this.#version, packetId, ReasonCode.packetIdentifierNotFound))
  }

  pubcomp(packetId: number, _reason?: number): void {
    this.#link?.pubcomp(packetId)
  }

  /** The PUBCOMP follows when it is on disk that the message is released. */
  pubrel(packetId: number, _reason?: number): void {
    if (this.#link !== null) this.#link.pubrel(packetId)
    else this.#send(encodePubcomp(this.#version, packetId, ReasonCode.packetIdentifierNotFound))
  }

  /** The socket has drained, or the window has room. */
  pump(): void {
    this.#link?.pump()
  }

  /** The connection is over. Resolves when the engine has let go and a will that is due is stored. */
  async close(end: { publishWill: boolean; sessionExpirySeconds?: number }): Promise<void> {
    const link = this.#link
    this.#link = null
    if (link !== null) await this.#engine.detach(link, end)
  }

  // -------------------------------------------------------------- from the engine

  #sink(): EngineSink {
    const wire = this.#wire
    return {
      deliver: (delivery) => this.#deliver(delivery),
      pubrel: (packetId, reason) => this.#send(encodePubrel(this.#version, packetId, reason)),
      pubcomp: (packetId, reason) => this.#send(encodePubcomp(this.#version, packetId, reason)),
      room: () => wire.plainRoom(),
      isBlocked: () => wire.outbox.pendingBytes > OUTBOX_BYTES_MAX,
      closed: (reason) => wire.disconnect(CLOSE_REASONS[reason]),
    }
  }

  #deliver(delivery: EngineDelivery): void {
    const packet = encodePublish({ version: this.#version, ...delivery })
    if (packet.length <= this.#packetBytesMax) this.#send(packet)
    // As if it had been delivered [MQTT-3.1.2-25].
    else if (delivery.qos > 0) this.#link?.discard(delivery.packetId)
  }

  #send(packet: Buffer): void {
    this.#wire.outbox.raw(packet)
  }
}
