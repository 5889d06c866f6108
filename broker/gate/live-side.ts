/** The live topic of one connection, and whether somebody looks at its device. */
import type { DeviceId, UserId } from '../../protocol/ids.ts'
import { liveTopic } from '../../protocol/topics.ts'
import type { LiveListener } from '../../services/presence/ports.ts'
import type { SessionSubscriptions } from '../../services/store/contract.ts'
import type { Live } from '../live/live.ts'
import type { ProtocolVersion } from './codec/constants.ts'
import { publishFrameBytes } from './codec/encode.ts'
import type { ConnectionState } from './connection-state.ts'
import type { GateMetrics } from './gate-metrics.ts'
import type { Outbox } from './outbox.ts'

const PUBLISH_QOS0 = 0x30
/** With this much waiting for the kernel, a device misses what is live. */
const PENDING_BYTES_MAX = 256 * 1024

/** The connection, as its live topic needs it. */
export type LiveConnection = {
  readonly uid: UserId
  readonly device: DeviceId
  readonly state: ConnectionState
  readonly version: ProtocolVersion
  readonly packetBytesMax: number
  readonly outbox: Pick<Outbox, 'publish' | 'pendingBytes'>
  readonly subscriptions: Pick<SessionSubscriptions, 'live'>
  readonly services: {
    readonly live: Pick<Live, 'connected' | 'disconnected' | 'presence'>
    readonly metrics: Pick<GateMetrics, 'liveEvents' | 'liveEventsDropped'>
  }
}

export class LiveSide implements LiveListener {
  readonly #connection: LiveConnection
  #topic: Buffer | null = null
  #isForeground = true

  /** The connection is open. */
  constructor(connection: LiveConnection) {
    this.#connection = connection
    connection.services.live.connected(this)
  }

  get uid(): UserId {
    return this.#connection.uid
  }

  get device(): DeviceId {
    return this.#connection.device
  }

  get isOpen(): boolean {
    return this.#connection.state === 'open'
  }

  get takesLive(): boolean {
    return this.isOpen && this.#connection.subscriptions.live
  }

  sendLive(payload: Buffer): void {
    if (!this.takesLive) return
    const { services, outbox, version, packetBytesMax } = this.#connection
    this.#topic ??= Buffer.from(liveTopic(this.uid))
    const topic = this.#topic
    const bytes = publishFrameBytes(topic.length, payload.length, version, 0)
    if (bytes > packetBytesMax || outbox.pendingBytes > PENDING_BYTES_MAX) {
      services.metrics.liveEventsDropped++
      return
    }
    services.metrics.liveEvents++
    outbox.publish(PUBLISH_QOS0, topic, 0, version, payload, 0, payload.length)
  }

  /** What the device says of itself; a connection begins in the foreground. */
  moveTo(place: 'foreground' | 'background'): void {
    const isForeground = place === 'foreground'
    if (isForeground === this.#isForeground) return
    this.#isForeground = isForeground
    this.#connection.services.live.presence.moved(this.uid, isForeground)
  }

  /** The connection is over. */
  close(): void {
    this.#connection.services.live.disconnected(this, this.#isForeground)
  }
}
