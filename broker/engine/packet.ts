/** A message inside the engine, and its form in the store. */
import type { PlainMessage } from '../../services/store/plain.ts'
import type { Qos } from '../gate/codec/constants.ts'
import type { PublishProperties } from '../gate/codec/properties.ts'

/** What a client publishes. The payload is a copy of its own: it may be kept, and is never written again. */
export type Publication = {
  topic: string
  payload: Buffer
  qos: Qos
  retain: boolean
  properties: PublishProperties | null
}

/** A message as Aedes routes it: the fields that `aedes-packet` copies, with our properties untouched inside. */
export type RoutedPacket = {
  cmd: 'publish'
  brokerId: string | null
  /** Grows with every message of a run of the engine; Aedes drops what comes out of this order as a duplicate. */
  brokerCounter: number
  topic: string
  payload: Buffer
  qos: Qos
  retain: boolean
  dup: false
  /** Who published it, for No Local. */
  clientId?: string
  properties?: PublishProperties
  /** ms since 1970. */
  messageExpiry?: number
}

/** Any packet that comes through Aedes's persistence interface. */
export type AnyPacket = {
  topic: string
  payload: Buffer | string
  brokerId?: string | null | undefined
  brokerCounter?: number | undefined
  messageExpiry?: number | undefined
}

/** Key under which bytes travel in JSON. */
const BYTES = '$bytes'

/** Every field but topic and payload as JSON; bytes in base64. */
function encodeHead({ topic: _, payload: __, ...rest }: AnyPacket): string {
  return encodeFields(rest)
}

export function encodeFields(fields: object): string {
  return JSON.stringify(fields, function (this: Record<string, unknown>, key, value) {
    const raw = this[key]
    return raw instanceof Uint8Array ? { [BYTES]: Buffer.from(raw).toString('base64') } : value
  })
}

export function decodeFields<Fields>(json: string): Fields {
  return JSON.parse(json, (_key, value: unknown) => {
    const bytes = (value as { [BYTES]?: unknown } | null)?.[BYTES]
    return typeof bytes === 'string' ? Buffer.from(bytes, 'base64') : value
  }) as Fields
}

/** What names a message across the store: the run that numbered it, and its number. */
export function originOf({ brokerId, brokerCounter }: AnyPacket): string {
  return `${brokerId ?? ''}:${brokerCounter ?? 0}`
}

export function toMessage(packet: AnyPacket): PlainMessage {
  const { topic, payload } = packet
  return {
    topic,
    // A view into a larger buffer would cross to the store's thread with all of that buffer.
    payload: typeof payload === 'string' ? payload : new Uint8Array(payload),
    head: encodeHead(packet),
    origin: originOf(packet),
    expiresAt: packet.messageExpiry ?? null,
  }
}

/** The packet that {@link toMessage} was given. */
export function fromMessage<Packet extends AnyPacket>({ topic, payload, head }: PlainMessage): Packet {
  return { ...decodeFields<Packet>(head), topic, payload: toPayload(payload) }
}

export function toPayload(payload: Uint8Array | string): Buffer | string {
  if (typeof payload === 'string') return payload
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
}
