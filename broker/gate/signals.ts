/** Signals of one connection: typing, foreground and background. They are never stored; too many are dropped. */
import { WochatError } from '../../protocol/errors.ts'
import type { UserId } from '../../protocol/ids.ts'
import { readSignal } from '../../protocol/signal.ts'
import type { LiveListener } from '../../services/presence/ports.ts'
import type { Live } from '../live/live.ts'
import type { Clock } from './clock.ts'
import type { GateLimits } from './gate-limits.ts'
import type { GateMetrics } from './gate-metrics.ts'
import { parsePayload } from './payload.ts'

const WINDOW_MS = 1000
/** A signal is a name and a conversation. */
const SIGNAL_BYTES_MAX = 1024

/** The connection, as its signals need it. */
export type SignallingConnection = {
  readonly uid: UserId
  /** Null in the open profile. */
  readonly live: (LiveListener & { moveTo(place: 'foreground' | 'background'): void }) | null
  readonly services: {
    readonly live: Pick<Live, 'typing'>
    readonly metrics: Pick<GateMetrics, 'signals' | 'signalsDropped'>
    readonly limits: Pick<GateLimits, 'signalsPerSecondMax'>
    readonly clock: Pick<Clock, 'now'>
  }
}

export class Signals {
  readonly #connection: SignallingConnection
  #windowStart = 0
  #taken = 0

  constructor(connection: SignallingConnection) {
    this.#connection = connection
  }

  /** Takes `buffer[start, end)`. Throws {@link WochatError} for what is no signal. */
  take(buffer: Buffer, start: number, end: number): void {
    const connection = this.#connection
    const { live: listener, services, uid } = connection
    const { metrics, live } = services
    metrics.signals++
    if (!this.#isWithinRate()) {
      metrics.signalsDropped++
      return
    }
    if (listener === null) throw new WochatError('topic_denied')
    const signal = readSignal(parsePayload(buffer, start, end, SIGNAL_BYTES_MAX), uid)
    if (signal.kind === 'typing') live.typing(listener, signal.target)
    else listener.moveTo(signal.kind)
  }

  #isWithinRate(): boolean {
    const { limits, clock } = this.#connection.services
    if (clock.now - this.#windowStart >= WINDOW_MS) {
      this.#windowStart = clock.now
      this.#taken = 0
    }
    return ++this.#taken <= limits.signalsPerSecondMax
  }
}
