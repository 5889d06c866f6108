/** Messages of one connection on their way to the store, and what becomes of their PUBLISHes. */
import { WochatError } from '../../protocol/errors.ts'
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import type { SendMarks } from '../../protocol/message-types.ts'
import { readSend } from '../../protocol/send.ts'
import type { MessageIntake, TracedMessage } from '../../services/messages/ports.ts'
import { RefusedSend } from '../../services/messages/refused-send.ts'
import { applyVerdict, type Screening, type Verdict } from '../../services/messages/screening.ts'
import { ScreeningOrder } from '../../services/messages/screening-order.ts'
import { OF_VISITOR, type SendJob, type Store, TO_NOBODY } from '../../services/store/contract.ts'
import type { Tracing } from '../trace/tracing.ts'
import { Answer, type Answers } from './answers.ts'
import type { Clock } from './clock.ts'
import type { GateLimits } from './gate-limits.ts'
import type { GateMetrics } from './gate-metrics.ts'
import { parsePayload } from './payload.ts'

/** Told back when the bucket of sends is empty. */
const RATE_WINDOW_MS = 1000

/** The connection, as its sends need it. */
export type SendingConnection = {
  readonly uid: UserId
  readonly device: DeviceId
  readonly publishes: {
    readonly answers: Pick<Answers, 'push'>
    sendAccepted(answer: Answer, log: LogId, seq: number, at: number, id: string | null): void
    transientAccepted(answer: Answer, log: LogId, at: number, id: string | null): void
    refusePublish(answer: Answer, error: WochatError, about: { id?: string }): void
  }
  readonly services: {
    readonly store: Pick<Store, 'send'>
    readonly intake: MessageIntake
    readonly tracing: Tracing
    readonly metrics: Pick<GateMetrics, 'sends'>
    readonly limits: Pick<GateLimits, 'payloadBytesMax' | 'sendsPerSecondMax'>
    readonly clock: Pick<Clock, 'now'>
  }
}

/** One message: its place in the order of answers, and the store's job at once, so that it is one allocation. */
class MessageSend extends Answer implements SendJob {
  readonly connection: SendingConnection
  readonly uid: UserId
  readonly device: DeviceId
  readonly id: string | null
  readonly log: LogId
  readonly peer: UserId | null
  readonly type: string
  bodyJson: string
  marks: SendMarks | null

  constructor(
    connection: SendingConnection,
    packetId: number,
    qos: 0 | 1 | 2,
    send: ReturnType<typeof readSend>,
  ) {
    super(packetId, qos)
    this.connection = connection
    this.uid = connection.uid
    this.device = connection.device
    this.id = send.id
    this.log = send.target.log
    this.peer = send.target.peer
    this.type = send.type
    this.bodyJson = send.bodyJson
    this.marks = send.marks
  }

  get traced(): TracedMessage {
    const { log, uid, device, id } = this
    return { log, seq: null, uid, device, id }
  }

  accepted(seq: number, at: number): void {
    if (seq <= 0) {
      this.#acceptedTransient(seq, at)
      return
    }
    const { armed } = this.connection.services.tracing
    if (armed !== null) armed.step('stored', { ...this.traced, seq })
    this.connection.publishes.sendAccepted(this, this.log, seq, at, this.id)
  }

  #acceptedTransient(seq: number, at: number): void {
    const { log, uid: from, device, id, type, bodyJson } = this
    const { transient } = this.connection.services.intake
    if (seq === OF_VISITOR && !transient.isSeated(log, from, device)) {
      this.refused(new WochatError('not_member'))
      return
    }
    if (seq !== TO_NOBODY) transient.sendTransient({ log, from, device, id, type, bodyJson, at })
    this.connection.publishes.transientAccepted(this, log, at, id)
  }

  refused(error: WochatError): void {
    this.connection.services.tracing.armed?.step('refused', this.traced)
    this.connection.publishes.refusePublish(this, error, this.id === null ? {} : { id: this.id })
  }
}

export class MessageSends {
  readonly #connection: SendingConnection
  /** Null while there is nothing that messages are screened by. */
  #screened: ScreeningOrder<MessageSend> | null = null
  #windowStart = 0
  #sent = 0

  constructor(connection: SendingConnection) {
    this.#connection = connection
  }

  /** Takes the payload of a PUBLISH on `send`: `buffer[start, end)`. */
  take(packetId: number, qos: 0 | 1 | 2, buffer: Buffer, start: number, end: number): void {
    const connection = this.#connection
    let send: MessageSend
    try {
      this.#assertWithinRate()
      const json = parsePayload(buffer, start, end, connection.services.limits.payloadBytesMax)
      send = new MessageSend(connection, packetId, qos, readSend(json, connection.uid))
    } catch (error) {
      const answer = new Answer(packetId, qos)
      connection.publishes.answers.push(answer)
      connection.publishes.refusePublish(answer, error as WochatError, idOf(buffer, start, end))
      return
    }
    connection.publishes.answers.push(send)
    const { intake, metrics, store, tracing } = connection.services
    if (tracing.armed !== null) tracing.armed.step('accepted', send.traced)
    metrics.sends++
    if (intake.screening === null) store.send(send)
    else this.#screen(send, intake.screening)
  }

  #screen(send: MessageSend, screening: Screening): void {
    this.#screened ??= new ScreeningOrder(screening, (message, verdict) => this.#store(message, verdict))
    this.#screened.take(send)
  }

  #store(send: MessageSend, verdict: Verdict): void {
    let refusal: WochatError | null
    try {
      refusal = applyVerdict(send, verdict)
    } catch (error) {
      send.refused(error as WochatError)
      return
    }
    this.#connection.services.store.send(refusal === null ? send : new RefusedSend(send, refusal))
  }

  #assertWithinRate(): void {
    const { limits, clock } = this.#connection.services
    if (limits.sendsPerSecondMax === 0) return
    if (clock.now - this.#windowStart >= RATE_WINDOW_MS) {
      this.#windowStart = clock.now
      this.#sent = 0
    }
    if (++this.#sent > limits.sendsPerSecondMax) {
      const retryAfterMs = this.#windowStart + RATE_WINDOW_MS - clock.now
      throw new WochatError('rate_limited', undefined, { retryAfterMs: Math.max(1, retryAfterMs) })
    }
  }
}

/** The id of a send that was refused, so that the sender knows which; none when even that cannot be read. */
function idOf(buffer: Buffer, start: number, end: number): { id?: string } {
  try {
    const { id } = JSON.parse(buffer.toString('utf8', start, end)) as { id?: unknown }
    return typeof id === 'string' ? { id } : {}
  } catch {
    return {}
  }
}
