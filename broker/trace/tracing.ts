/**
 * Steps of messages, for an operator who asked for them. Almost always nobody did: then {@link Tracing.armed} is null,
 * and a step costs its callers one comparison.
 */
import type { TraceStep } from '../../protocol/admin/rows.ts'
import { WochatError } from '../../protocol/errors.ts'
import { buildClientId, type DeviceId, type LogId, type UserId } from '../../protocol/ids.ts'
import type { TraceNote, TraceTarget } from '../../services/admin/cluster-port.ts'
import type { MessageTracing, TracedMessage } from '../../services/messages/ports.ts'
import type { CommittedEntry } from '../../services/store/contract.ts'

/** Traces at a time. */
const TRACES_MAX = 16
/** Steps of one trace in a second; more are counted and not kept. */
const STEPS_PER_SECOND_MAX = 1000
/** Steps of one trace that wait to be read. */
const WAITING_STEPS_MAX = 5000
/** Nobody reads any more: whoever asked is gone. */
const UNREAD_MAX_MS = 15_000
const SWEEP_EVERY_MS = 1000

/** The inbox of a device, as far as a trace needs it. */
type TracedInbox = {
  uid: UserId
  device: DeviceId
  inflight: { unackedEntries(): Iterable<{ packetId: number; place: { log: LogId }; seq: number }> }
}

type Trace = {
  target: TraceTarget
  endAt: number
  readAt: number
  waiting: TraceNote[]
  dropped: number
  secondAt: number
  stepsInSecond: number
}

/** Takes the steps while something is armed. */
class Tracer {
  readonly traces = new Map<string, Trace>()

  rung({ log, seq, uid, device }: CommittedEntry): void {
    this.step('rung', { log, seq, uid, device, id: null })
  }

  sent({ uid, device }: TracedInbox, log: LogId, seq: number): void {
    this.step('sent', { log, seq, uid, device, id: null })
  }

  /** Call before the PUBACK is taken: afterwards nobody knows what it was for. */
  acknowledged({ uid, device, inflight }: TracedInbox, acknowledgedId: number): void {
    for (const { packetId, place, seq } of inflight.unackedEntries()) {
      if (packetId !== acknowledgedId) continue
      this.step('acknowledged', { log: place.log, seq, uid, device, id: null })
      return
    }
  }

  step(step: TraceStep, message: TracedMessage): void {
    const at = Date.now()
    for (const trace of this.traces.values()) {
      if (isOf(trace.target, message)) keep(trace, { step, at, ...message })
    }
  }
}

export class Tracing implements MessageTracing, Disposable {
  /** Null when nothing is traced. */
  armed: Tracer | null = null
  #sweep: NodeJS.Timeout | null = null

  /** Refuses `busy`. */
  arm(name: string, target: TraceTarget, ms: number): void {
    this.armed ??= new Tracer()
    const { traces } = this.armed
    if (traces.size >= TRACES_MAX) throw new WochatError('busy', `${TRACES_MAX} traces are armed already`)
    const now = Date.now()
    traces.set(name, {
      target,
      endAt: now + ms,
      readAt: now,
      waiting: [],
      dropped: 0,
      secondAt: now,
      stepsInSecond: 0,
    })
    this.#sweep ??= setInterval(() => this.#forgetUnread(), SWEEP_EVERY_MS).unref()
  }

  /** What happened since the last read. Of a trace that is not armed (any more): nothing. */
  read(name: string): { events: TraceNote[]; dropped: number } {
    const trace = this.armed?.traces.get(name)
    if (trace === undefined) return { events: [], dropped: 0 }
    const { waiting: events, dropped } = trace
    trace.waiting = []
    trace.dropped = 0
    trace.readAt = Date.now()
    return { events, dropped }
  }

  disarm(name: string): void {
    if (this.armed === null) return
    this.armed.traces.delete(name)
    if (this.armed.traces.size > 0) return
    this.armed = null
    if (this.#sweep !== null) clearInterval(this.#sweep)
    this.#sweep = null
  }

  #forgetUnread(): void {
    const now = Date.now()
    for (const [name, { readAt, endAt }] of this.armed?.traces ?? []) {
      if (now - readAt > UNREAD_MAX_MS || now - endAt > UNREAD_MAX_MS) this.disarm(name)
    }
  }

  [Symbol.dispose](): void {
    for (const name of this.armed?.traces.keys() ?? []) this.disarm(name)
  }
}

/** Of a message that is followed by its id, steps match that do not know theirs: whoever asks goes on with its seq. */
function isOf(target: TraceTarget, { log, seq, uid, device, id }: TracedMessage): boolean {
  if ('log' in target) {
    if (target.log !== log) return false
    if (target.seq !== undefined) return seq === target.seq
    return target.id === undefined || id === null || id === target.id
  }
  return device !== null && target.clientId === buildClientId(uid, device)
}

function keep(trace: Trace, note: TraceNote): void {
  if (note.at - trace.secondAt >= 1000) {
    trace.secondAt = note.at
    trace.stepsInSecond = 0
  }
  if (++trace.stepsInSecond > STEPS_PER_SECOND_MAX || trace.waiting.length >= WAITING_STEPS_MAX)
    trace.dropped++
  else trace.waiting.push(note)
}
