/** The reply topic of one connection: what its sends and calls came to, and how far its inbox is. */
import { encodeReply, type Reply } from '../../protocol/reply.ts'
import { replyTopic } from '../../protocol/topics.ts'
import type { ProtocolVersion } from './codec/constants.ts'
import { encodePublish } from './codec/encode.ts'
import type { Identity } from './identity.ts'
import type { Outbox } from './outbox.ts'

const PUBLISH_QOS0 = 0x30
const PUBLISH_QOS1 = 0x32
/** Header, lengths and packet id of a PUBLISH beside topic, payload and correlation data. */
const ENVELOPE_BYTES = 16

/** The connection, as its replies need it. */
export type ReplyingConnection = {
  readonly version: ProtocolVersion
  readonly outbox: Pick<Outbox, 'publish' | 'raw'>
  readonly packetBytesMax: number
  readonly identity: Pick<Identity, 'uid' | 'device' | 'session'>
  /** Whether one more unacknowledged reply is allowed now. */
  readonly hasReplyRoom: boolean
  /** ms. */
  now(): number
}

type Waiting = { payload: Buffer; correlationData: Buffer | undefined }

export class ReplySide {
  readonly #connection: ReplyingConnection
  readonly #waiting: Waiting[] = []
  #topic: Buffer | null = null
  /** Granted QoS, or null: then replies are dropped. */
  qos: 0 | 1 | null = null

  constructor(connection: ReplyingConnection) {
    this.#connection = connection
  }

  /** Replies that wait for the device's PUBACKs; the connection stops reading before they grow without bound. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Encodes only when somebody listens: `build` is called at most once. */
  send(build: () => Reply, correlationData?: Buffer): void {
    if (this.qos === null) return
    const waiting = { payload: Buffer.from(encodeReply(build())), correlationData }
    if (this.#waiting.length > 0 || (this.qos === 1 && !this.#connection.hasReplyRoom))
      this.#waiting.push(waiting)
    else this.#write(waiting)
  }

  /** There is room again. */
  pump(): void {
    while (this.#waiting.length > 0 && (this.qos !== 1 || this.#connection.hasReplyRoom))
      this.#write(this.#waiting.shift()!)
  }

  #write({ payload, correlationData }: Waiting): void {
    if (this.qos === null) return
    const { outbox, version, packetBytesMax, identity } = this.#connection
    this.#topic ??= Buffer.from(replyTopic(identity.uid, identity.device))
    const topic = this.#topic
    if (payload.length + topic.length + (correlationData?.length ?? 0) + ENVELOPE_BYTES > packetBytesMax)
      return
    const packetId = this.qos === 1 ? identity.session.inflight.pushReply(this.#connection.now()) : 0
    if (correlationData === undefined) {
      const firstByte = this.qos === 1 ? PUBLISH_QOS1 : PUBLISH_QOS0
      outbox.publish(firstByte, topic, packetId, version, payload, 0, payload.length)
      return
    }
    outbox.raw(
      encodePublish({
        version,
        topic: topic.toString(),
        packetId,
        qos: this.qos,
        properties: { correlationData },
        payload,
      }),
    )
  }
}
