/** Calls of one connection: operations of the catalogue on `u/{uid}/call/{operation}`. */

import { isWithinDepth } from '../../protocol/depth.ts'
import { asWochatError, WochatError } from '../../protocol/errors.ts'
import type { DeviceId, UserId } from '../../protocol/ids.ts'
import { CLIENT_ID_CHARS_MAX, JSON_DEPTH_MAX } from '../../protocol/limits.ts'
import { replyTopic } from '../../protocol/topics.ts'
import type { Dispatcher } from '../../services/dispatcher.ts'
import type { LiveListener } from '../../services/presence/ports.ts'
import { Answer, type Answers } from './answers.ts'
import type { PublishPacket } from './codec/decode.ts'
import type { GateLimits } from './gate-limits.ts'
import type { Identity } from './identity.ts'
import { parsePayload } from './payload.ts'
import type { ReplySide } from './reply-side.ts'
import type { Transport } from './transport.ts'

type CallRequest = { ref?: string; params: Record<string, unknown> }

/** The connection, as its calls need it. */
export type CallingConnection = {
  readonly uid: UserId
  readonly device: DeviceId
  readonly identity: Pick<Identity, 'token'>
  readonly transport: Pick<Transport, 'remoteAddress'>
  readonly live: LiveListener | null
  readonly replies: Pick<ReplySide, 'send'>
  readonly publishes: {
    readonly answers: Pick<Answers, 'push'>
    decide(answer: Answer): void
    refusePublish(
      answer: Answer,
      error: WochatError,
      about: { op: string; ref?: string },
      correlationData?: Buffer,
    ): void
  }
  readonly services: {
    readonly dispatcher: Pick<Dispatcher, 'call'>
    readonly limits: Pick<GateLimits, 'payloadBytesMax'>
  }
}

export class OperationCalls {
  readonly #connection: CallingConnection

  constructor(connection: CallingConnection) {
    this.#connection = connection
  }

  take(op: string, packet: PublishPacket, buffer: Buffer): void {
    const answer = new Answer(packet.packetId, packet.qos)
    this.#connection.publishes.answers.push(answer)
    const correlationData = packet.properties?.correlationData
    // The chunk that holds it may be gone by the time of the answer.
    const correlation = correlationData === undefined ? undefined : Buffer.from(correlationData)
    const about: { op: string; ref?: string } = { op }
    this.#run(op, packet, buffer, about)
      .then((result) => {
        this.#connection.replies.send(() => ({ kind: 'result', ...about, result }), correlation)
        this.#connection.publishes.decide(answer)
      })
      .catch((error: unknown) =>
        this.#connection.publishes.refusePublish(answer, asWochatError(error), about, correlation),
      )
  }

  async #run(op: string, packet: PublishPacket, buffer: Buffer, about: { ref?: string }): Promise<unknown> {
    const { services, uid, device, identity, transport, live } = this.#connection
    const { payloadStart, payloadEnd, properties } = packet
    const request = readRequest(
      parsePayload(buffer, payloadStart, payloadEnd, services.limits.payloadBytesMax),
    )
    if (request.ref !== undefined) about.ref = request.ref
    if (properties?.responseTopic !== undefined && properties.responseTopic !== replyTopic(uid, device)) {
      throw new WochatError('topic_denied', 'the Response Topic is the reply topic of this device')
    }
    const context = { token: identity.token, device, address: transport.remoteAddress, live }
    return services.dispatcher.call(op, request.params, context)
  }
}

/** Takes `ref` off the parameters. */
function readRequest(value: unknown): CallRequest {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new WochatError('bad_json', 'a call is a JSON object')
  }
  if (!isWithinDepth(value, JSON_DEPTH_MAX)) throw new WochatError('too_deep')
  const { ref, ...params } = value as Record<string, unknown>
  if (ref === undefined) return { params }
  if (typeof ref !== 'string' || ref.length > CLIENT_ID_CHARS_MAX) {
    throw new WochatError('bad_request', `ref: a string of at most ${CLIENT_ID_CHARS_MAX} characters`)
  }
  return { ref, params }
}
