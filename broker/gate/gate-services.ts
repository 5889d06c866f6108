/** What every connection of a node works with. */
import type { Logger } from 'pino'
import type { ErrorCode } from '../../protocol/errors.ts'
import type { TokenVerifier } from '../../services/auth/token.ts'
import type { Dispatcher } from '../../services/dispatcher.ts'
import type { MessageIntake } from '../../services/messages/ports.ts'
import type { Store } from '../../services/store/contract.ts'
import type { Bus } from '../cluster/bus.ts'
import type { Engine } from '../engine/engine.ts'
import type { InboxServices } from '../inbox/inbox-wire.ts'
import type { Live } from '../live/live.ts'
import type { Tracing } from '../trace/tracing.ts'
import type { Admission } from './admission.ts'
import type { Clock } from './clock.ts'
import type { WriteTurn } from './outbox.ts'
import type { Registry } from './registry.ts'

/** Bounds of the gate; each is a setting, described in the configuration. */
export type GateLimits = {
  connectPacketBytesMax: number
  connectTimeoutMs: number
  packetBytesMax: number
  payloadBytesMax: number
  keepAliveSecondsMax: number
  sessionExpirySecondsMax: number
  devicesPerAccountMax: number
  sendsPerSecondMax: number
  signalsPerSecondMax: number
  sendsWaitingMax: number
  repliesWaitingMax: number
  windowEntries: number
  plainInflightMax: number
  drainTimeoutMs: number
  ackTimeoutMs: number
}

/** Counters of the gate since the start; metrics read them when they are asked. */
export class GateMetrics {
  connections = 0
  connects = 0
  sends = 0
  calls = 0
  signals = 0
  /** Above the rate of their connection. */
  signalsDropped = 0
  /** Live events written to devices, and those left out because a device did not keep up. */
  liveEvents = 0
  liveEventsDropped = 0
  plainPublishes = 0
  deliveries = 0
  redeliveries = 0
  acks = 0
  negativeAcks = 0
  drains = 0
  gaps = 0
  takeovers = 0
  slowCuts = 0
  bytesReceived = 0
  /** Refusals of sends, calls and CONNECTs by code. */
  readonly refusals = new Map<ErrorCode, number>()
  /** Connections that were cut for a broken rule of MQTT, by reason code. */
  readonly violations = new Map<number, number>()

  refused(code: ErrorCode): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1)
  }

  violated(reason: number): void {
    this.violations.set(reason, (this.violations.get(reason) ?? 0) + 1)
  }
}

export type GateServices = {
  readonly store: Store
  readonly verifier: TokenVerifier
  readonly dispatcher: Dispatcher
  readonly intake: MessageIntake
  readonly engine: Engine
  /** The other nodes. */
  readonly bus: Bus
  readonly inbox: InboxServices
  readonly live: Live
  readonly registry: Registry
  readonly admission: Admission
  readonly turn: WriteTurn
  readonly clock: Clock
  readonly limits: GateLimits
  readonly metrics: GateMetrics
  readonly tracing: Tracing
  readonly log: Logger
  /** The test profile for third-party MQTT suites: any client id, no password, plain topics only. */
  readonly openPlain: boolean
}
