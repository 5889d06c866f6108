/** What the gate counts. */
import type { ErrorCode } from '../../protocol/errors.ts'

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
