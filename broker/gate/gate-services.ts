/** What every connection of a node works with. */
import type { Logger } from 'pino'
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
import type { GateLimits } from './gate-limits.ts'
import type { GateMetrics } from './gate-metrics.ts'
import type { WriteTurn } from './outbox.ts'
import type { Registry } from './registry.ts'

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
