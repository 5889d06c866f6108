/** A device on the engine, without a socket: it keeps what it is sent and, unless told otherwise, answers at once. */
import type { WochatError } from '../../../protocol/errors.ts'
import type { ProtocolVersion, Qos } from '../../gate/codec/constants.ts'
import type { RetainHandling } from '../../gate/codec/decode.ts'
import type { PublishProperties } from '../../gate/codec/properties.ts'
import type { Engine, EngineClosedReason, EngineDelivery, EngineLink } from '../engine.ts'
import type { AttachOptions } from '../link.ts'

export type DeviceOptions = Partial<Omit<AttachOptions, 'sink' | 'clientId'>> & {
  window?: number
  /** Does not acknowledge by itself. */
  isSilent?: boolean
}

type PublishOptions = {
  qos?: Qos
  retain?: boolean
  packetId?: number
  properties?: PublishProperties | null
}

export class PlainDevice {
  readonly received: EngineDelivery[] = []
  readonly pubrels: [number, number][] = []
  readonly pubcomps: [number, number][] = []
  closed: EngineClosedReason | null = null
  isBlocked = false
  isSilent: boolean
  window: number
  inflightMax = 0
  readonly version: ProtocolVersion
  readonly link: EngineLink
  readonly #engine: Engine
  #packetId = 0

  constructor(engine: Engine, clientId: string, options: DeviceOptions = {}) {
    const { window = 32, isSilent = false, ...attach } = options
    this.#engine = engine
    this.window = window
    this.isSilent = isSilent
    this.version = attach.version ?? 5
    this.link = engine.attach({
      clientId,
      version: this.version,
      cleanStart: false,
      sessionExpirySeconds: 3600,
      ...attach,
      sink: {
        deliver: (delivery) => this.#deliver(delivery),
        pubrel: (packetId, reason) => this.#pubrel(packetId, reason),
        pubcomp: (packetId, reason) => this.pubcomps.push([packetId, reason]),
        room: () => this.window - this.link.inflight,
        isBlocked: () => this.isBlocked,
        closed: (reason) => {
          this.closed = reason
        },
      },
    })
  }

  /** Resolves with the refusal, or null when it is stored and routed. */
  publish(
    topic: string,
    payload: string | Buffer,
    options: PublishOptions = {},
  ): Promise<WochatError | null> {
    const { qos = 1, retain = false, properties = null } = options
    const packetId = options.packetId ?? (qos === 0 ? 0 : this.#nextPacketId())
    const publication = { topic, payload: Buffer.from(payload), qos, retain, properties }
    return new Promise((resolve) => this.link.publish(publication, packetId, resolve))
  }

  subscribe(
    filter: string,
    qos: Qos = 1,
    options: {
      noLocal?: boolean
      retainAsPublished?: boolean
      retainHandling?: RetainHandling
      identifier?: number
    } = {},
  ): Promise<number> {
    const { noLocal = false, retainAsPublished = false, retainHandling = 0, identifier } = options
    return this.link.subscribe({ filter, qos, noLocal, retainAsPublished, retainHandling }, identifier)
  }

  detach(publishWill = false): Promise<void> {
    return this.#engine.detach(this.link, { publishWill })
  }

  get texts(): string[] {
    return this.received.map(({ payload }) => payload.toString())
  }

  #nextPacketId(): number {
    this.#packetId = (this.#packetId % 65_535) + 1
    return this.#packetId
  }

  #deliver(delivery: EngineDelivery): void {
    this.received.push(delivery)
    this.inflightMax = Math.max(this.inflightMax, this.link.inflight)
    if (this.isSilent) return
    if (delivery.qos === 1) this.link.puback(delivery.packetId)
    else if (delivery.qos === 2) this.link.pubrec(delivery.packetId, 0)
  }

  #pubrel(packetId: number, reason: number): void {
    this.pubrels.push([packetId, reason])
    if (!this.isSilent) this.link.pubcomp(packetId)
  }
}
