/** What a client publishes: messages, calls and plain topics, each answered in its turn. */
import type { Logger } from 'pino'
import { asWochatError, ERRORS, WochatError } from '../../protocol/errors.ts'
import type { Reply } from '../../protocol/reply.ts'
import { callTopicPrefix, sendTopic, signalTopic } from '../../protocol/topics.ts'
import { Answer, Answers } from './answers.ts'
import { type ProtocolVersion, ReasonCode } from './codec/constants.ts'
import { decodePublish, type PublishPacket, publishTopicEquals } from './codec/decode.ts'
import { ProtocolViolation } from './codec/violation.ts'
import type { ConnectionState } from './connection-state.ts'
import type { GateLimits } from './gate-limits.ts'
import type { GateMetrics } from './gate-metrics.ts'
import type { Identity } from './identity.ts'
import { MessageSends, type SendingConnection } from './message-sends.ts'
import { type CallingConnection, OperationCalls } from './operation-calls.ts'
import type { Outbox } from './outbox.ts'
import type { ReplySide } from './reply-side.ts'
import { type SignallingConnection, Signals } from './signals.ts'
import { mayPublish } from './topic-rights.ts'

/** Topic aliases that a client may use towards us (MQTT 5). */
export const TOPIC_ALIAS_MAX = 16
const QOS_MASK = 0x06
const QOS2_HALF_OPEN_MAX = 256

/** The connection, as what is published on it needs it. */
export type PublishingConnection = SendingConnection &
  CallingConnection &
  SignallingConnection & {
    readonly version: ProtocolVersion
    readonly state: ConnectionState
    readonly outbox: Outbox
    readonly identity: Pick<Identity, 'acl' | 'plain'>
    readonly replies: Pick<ReplySide, 'qos'>
    readonly services: {
      readonly metrics: Pick<GateMetrics, 'calls' | 'plainPublishes' | 'refused'>
      readonly limits: Pick<GateLimits, 'sendsWaitingMax'>
      readonly log: Pick<Logger, 'error'>
    }
    close(): void
    resumeReading(): void
  }

export class PublishSide {
  readonly answers: Answers
  readonly #connection: PublishingConnection
  readonly #sendTopicText: string
  readonly #sendTopic: Buffer
  readonly #callPrefix: string
  readonly #signalTopic: string
  readonly #sends: MessageSends
  readonly #calls: OperationCalls
  readonly #signals: Signals
  #aliases: Map<number, string> | null = null
  /** Packet ids of QoS 2 sends between PUBREC and PUBREL. */
  #halfOpen: Set<number> | null = null

  constructor(connection: PublishingConnection) {
    this.#connection = connection
    this.answers = new Answers(connection.version, connection.outbox, () => connection.close())
    this.#sendTopicText = sendTopic(connection.uid)
    this.#sendTopic = Buffer.from(this.#sendTopicText)
    this.#callPrefix = callTopicPrefix(connection.uid)
    this.#signalTopic = signalTopic(connection.uid)
    this.#sends = new MessageSends(connection)
    this.#calls = new OperationCalls(connection)
    this.#signals = new Signals(connection)
  }

  /** A QoS 1 send on MQTT 3.1.1, and on 5 without properties, is read in place; all else is decoded. */
  take(firstByte: number, buffer: Buffer, start: number, end: number): void {
    const topic = this.#sendTopic
    if ((firstByte & QOS_MASK) === 0x02 && publishTopicEquals(buffer, start, end, topic)) {
      const at = start + 2 + topic.length
      const payload = at + (this.#connection.version === 5 ? 3 : 2)
      if (payload <= end && (this.#connection.version === 4 || buffer[at + 2] === 0)) {
        const packetId = (buffer[at]! << 8) | buffer[at + 1]!
        if (packetId === 0)
          throw new ProtocolViolation(ReasonCode.protocolError, 'packet id 0 [MQTT-2.2.1-2]')
        this.#sends.take(packetId, 1, buffer, payload, end)
        return
      }
    }
    this.#onOtherPublish(decodePublish(firstByte & 15, buffer, start, end, this.#connection.version), buffer)
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
        this.#connection.services.metrics.calls++
        this.#calls.take(topic.slice(this.#callPrefix.length), packet, buffer)
      }
      return
    }
    const answer = new Answer(packetId, qos)
    this.answers.push(answer)
    if (topic === this.#signalTopic) {
      this.#takeSignal(answer, buffer, payloadStart, payloadEnd)
      return
    }
    if (
      !mayPublish(
        this.#connection.identity.token === null ? null : this.#connection.uid,
        this.#connection.identity.acl,
        topic,
      )
    ) {
      this.refusePublish(answer, new WochatError('topic_denied'), {})
      return
    }
    this.#connection.services.metrics.plainPublishes++
    // The chunk is reused by nobody, but it is larger than the message that the engine may hold for long.
    const payload = Buffer.from(buffer.subarray(payloadStart, payloadEnd))
    this.#connection.identity.plain.publish({ ...packet, topic }, payload, (refusal) => {
      if (refusal === null) this.decide(answer)
      else this.refusePublish(answer, refusal, {})
    })
  }

  /** Made for QoS 0. Above it is acknowledged, which says that it was taken and not that anybody heard it. */
  #takeSignal(answer: Answer, buffer: Buffer, start: number, end: number): void {
    if (answer.qos === 2) {
      this.refusePublish(answer, new WochatError('bad_request', 'a signal is sent at QoS 0'), {})
      return
    }
    try {
      this.#signals.take(buffer, start, end)
      this.decide(answer)
    } catch (error) {
      this.refusePublish(answer, asWochatError(error), {})
    }
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

  /** Frees the id of a QoS 2 send at its PUBREL. False when the id is not one of ours. */
  release(packetId: number): boolean {
    return this.#halfOpen?.delete(packetId) === true
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

  sendAccepted(answer: Answer, log: string, seq: number, at: number, id: string | null): void {
    if (this.#connection.state !== 'open') return
    // The common sender does not listen: then not even the closure is made.
    if (this.#connection.replies.qos !== null) this.#replyAccepted(log, seq, at, id)
    this.decide(answer)
  }

  transientAccepted(answer: Answer, log: string, at: number, id: string | null): void {
    if (this.#connection.state !== 'open') return
    this.#connection.replies.send(() => ({
      kind: 'accepted',
      ...(id !== null && { id }),
      log,
      at,
      transient: true,
    }))
    this.decide(answer)
  }

  #replyAccepted(log: string, seq: number, at: number, id: string | null): void {
    this.#connection.replies.send(() => ({
      kind: 'accepted',
      ...(id !== null && { id }),
      log,
      seq,
      at,
      ...(id === null && { idempotent: false as const }),
    }))
  }

  /** Refuses a PUBLISH: on the reply topic, and in its acknowledgement as the version allows. */
  refusePublish(
    answer: Answer,
    error: WochatError,
    about: { id?: string } | { op: string; ref?: string },
    correlationData?: Buffer,
  ): void {
    this.#connection.services.metrics.refused(error.code)
    if (error.code === 'internal')
      this.#connection.services.log.error({ err: error.cause ?? error }, 'a publish failed')
    if (this.#connection.state !== 'open') return
    this.#connection.replies.send(
      () => ({ kind: 'refused', ...about, ...error.toWire() }) as Reply,
      correlationData,
    )
    if (this.#connection.version === 5) {
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
    if (this.#connection.state !== 'open') return
    this.answers.decided(answer)
    if (
      this.#connection.state === 'open' &&
      this.answers.waiting <= this.#connection.services.limits.sendsWaitingMax / 2
    ) {
      this.#connection.resumeReading()
    }
  }
}
