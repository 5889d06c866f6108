/**
 * The emitter of Aedes in a cluster: what is emitted here reaches the listeners here, and those of the other nodes over
 * the bus. At most once: what the bus loses is lost for listeners, and stored sessions read it from their queues.
 */
import mqemitter, { type Message, type MQEmitter } from 'mqemitter'
import type { UserId } from '../../protocol/ids.ts'
import { decodeFields, encodeFields } from './packet.ts'
import { ownerOf } from './topic-wall.ts'

/** First byte of a frame; a node drops frames of a form that it does not know. */
const FORM = 1
/** Form, and the length of the fields. */
const PREFIX_BYTES = 5

/** The part of the bus that carries plain messages: to the nodes that hold a device of a user, or to all with null. */
export interface PlainCarrier {
  /** Name of this node's life, as the others know it when it is gone. */
  readonly node: string
  sendPlain(frame: Buffer, uid: UserId | null): void
}

type EmitterOptions = Parameters<typeof mqemitter>[0]

/** Its package exports a function that also constructs. */
const Emitter = mqemitter as unknown as new (options: EmitterOptions) => MQEmitter

export class ClusterEmitter extends Emitter {
  readonly #carrier: PlainCarrier
  /** What comes from other nodes; told to the listeners here unless somebody puts himself before them. */
  onCarried: (message: Message) => void = (message) => {
    this.emitHere(message)
  }

  constructor(carrier: PlainCarrier, options: EmitterOptions = {}) {
    super(options)
    this.#carrier = carrier
  }

  override emit(message: Message, done?: (error?: Error) => void): this {
    if (!this.isClosed) this.send(message)
    return this.emitHere(message, done)
  }

  get isClosed(): boolean {
    return (this as unknown as { closed: boolean }).closed
  }

  /** Only to the other nodes. */
  send(message: Message): void {
    this.#carrier.sendPlain(encodeFrame(message), ownerOf(message.topic))
  }

  /** Only to the listeners of this node. */
  emitHere(message: Message, done?: (error?: Error) => void): this {
    super.emit(message, done)
    return this
  }

  /** A frame of another node. One that cannot be read is dropped: false. */
  receive(frame: Buffer): boolean {
    const message = decodeFrame(frame)
    if (message === null) return false
    this.onCarried(message)
    return true
  }
}

function encodeFrame({ payload, ...fields }: Message): Buffer {
  const bytes = payload instanceof Uint8Array ? payload : Buffer.alloc(0)
  const head = Buffer.from(encodeFields(bytes === payload ? fields : { ...fields, payload }))
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + head.length + bytes.length)
  frame.writeUInt8(FORM, 0)
  frame.writeUInt32BE(head.length, 1)
  frame.set(head, PREFIX_BYTES)
  frame.set(bytes, PREFIX_BYTES + head.length)
  return frame
}

function decodeFrame(frame: Buffer): Message | null {
  if (frame.length < PREFIX_BYTES || frame[0] !== FORM) return null
  const end = PREFIX_BYTES + frame.readUInt32BE(1)
  if (end > frame.length) return null
  try {
    const fields = decodeFields<Message>(frame.toString('utf8', PREFIX_BYTES, end))
    // A copy: the frame may be part of a larger buffer of the bus, and a message may be kept.
    return 'payload' in fields ? fields : { ...fields, payload: Buffer.from(frame.subarray(end)) }
  } catch {
    return null
  }
}
