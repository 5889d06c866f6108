/** The reply topic of one connection: what its sends and calls came to, and how far its inbox is. */
import type { Reply } from '../../protocol/reply.ts'
import { replyTopic } from '../../protocol/topics.ts'
import type { InboxSession } from '../inbox/inbox-session.ts'
import type { ProtocolVersion } from './codec/constants.ts'
import { encodePublish } from './codec/encode.ts'
import type { Outbox } from './outbox.ts'

const PUBLISH_QOS0 = 0x30
const PUBLISH_QOS1 = 0x32

type Waiting = { payload: Buffer; correlationData: Buffer | undefined }

export class ReplySide {
  readonly #version: ProtocolVersion
  readonly #outbox: Outbox
  readonly #session: InboxSession
  readonly #room: () => boolean
  readonly #now: () => number
  readonly #packetBytesMax: number
  readonly #waiting: Waiting[] = []
  #topic: Buffer | null = null
  /** Granted QoS, or null: then replies are dropped [design: section 11, A reply for a connection ...]. */
  qos: 0 | 1 | null = null

  constructor(parts: {
    version: ProtocolVersion
    outbox: Outbox
    session: InboxSession
    /** Whether one more unacknowledged reply is allowed now. */
    room: () => boolean
    now: () => number
    packetBytesMax: number
  }) {
    this.#version = parts.version
    this.#outbox = parts.outbox
    this.#session = parts.session
    this.#room = parts.room
    this.#now = parts.now
    this.#packetBytesMax = parts.packetBytesMax
  }

  /** Replies that wait for the device's PUBACKs; the connection stops reading before they grow without bound. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Encodes only when somebody listens: `build` is called at most once. */
  send(build: () => Reply, correlationData?: Buffer): void {
    if (this.qos === null) return
    const waiting = { payload: Buffer.from(JSON.stringify(build())), correlationData }
    if (this.#waiting.length > 0 || (this.qos === 1 && !this.#room())) this.#waiting.push(waiting)
    else this.#write(waiting)
  }

  /** There is room again. */
  pump(): void {
    while (this.#waiting.length > 0 && (this.qos !== 1 || this.#room())) this.#write(this.#waiting.shift()!)
  }

  #write({ payload, correlationData }: Waiting): void {
    if (this.qos === null) return
    this.#topic ??= Buffer.from(replyTopic(this.#session.uid, this.#session.device))
    const topic = this.#topic
    if (payload.length + topic.length + (correlationData?.length ?? 0) + 16 > this.#packetBytesMax) return
    const packetId = this.qos === 1 ? this.#session.inflight.pushReply(this.#now()) : 0
    if (correlationData === undefined) {
      const firstByte = this.qos === 1 ? PUBLISH_QOS1 : PUBLISH_QOS0
      this.#outbox.publish(firstByte, topic, packetId, this.#version, payload, 0, payload.length)
      return
    }
    this.#outbox.raw(
      encodePublish({
        version: this.#version,
        topic: topic.toString(),
        packetId,
        qos: this.qos,
        dup: false,
        retain: false,
        properties: { correlationData },
        payload,
      }),
    )
  }
}
