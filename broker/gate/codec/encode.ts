/** What a server says, one function per packet; those of every message are written in place by write-hot.ts. */
import { type AckType, PacketType, type ProtocolVersion, type Qos, ReasonCode } from './constants.ts'
import type {
  AckProperties,
  ConnackProperties,
  DeliveryProperties,
  PublishProperties,
  ServerDisconnectProperties,
} from './properties.ts'
import { Writer } from './writer.ts'

export {
  encodeAuth,
  encodeClientDisconnect,
  encodeConnect,
  encodeSubscribe,
  encodeUnsubscribe,
  PINGREQ,
  type SubscribeInput,
  type UnsubscribeInput,
} from './encode-client.ts'
export { publishFrameBytes, writePuback, writePublish } from './write-hot.ts'

/** The PINGRESP packet (section 3.13). Shared: never write into it. */
export const PINGRESP: Buffer = Buffer.from([PacketType.pingresp << 4, 0])

export interface ConnackInput {
  readonly version: ProtocolVersion
  readonly sessionPresent: boolean
  /** Return code of 3.1.1 (`ConnackCode311`) or reason code of 5 (`ReasonCode`). */
  readonly code: number
  /** Left out on 3.1.1. */
  readonly properties?: ConnackProperties
}

/** CONNACK (section 3.2). Session Present is 0 whenever the code is not [MQTT-3.2.2-6]. */
export function encodeConnack({ version, sessionPresent, code, properties }: ConnackInput): Buffer {
  const writer = new Writer().byte(sessionPresent && code === 0 ? 1 : 0).byte(code)
  if (version === 5) writer.properties('connack', properties)
  return writer.finish(PacketType.connack << 4)
}

/** SUBACK (section 3.9): one code per filter of the SUBSCRIBE, in its order. */
export function encodeSuback(
  version: ProtocolVersion,
  packetId: number,
  codes: readonly number[],
  properties?: AckProperties,
): Buffer {
  const writer = new Writer().uint16(packetId)
  if (version === 5) writer.properties('ack', properties)
  return writer.raw(Uint8Array.from(codes)).finish(PacketType.suback << 4)
}

/** UNSUBACK (section 3.11); on 3.1.1 it has no codes. */
export function encodeUnsuback(
  version: ProtocolVersion,
  packetId: number,
  codes: readonly number[],
  properties?: AckProperties,
): Buffer {
  const writer = new Writer().uint16(packetId)
  if (version === 5) writer.properties('ack', properties).raw(Uint8Array.from(codes))
  return writer.finish(PacketType.unsuback << 4)
}

type EncodeAck = (
  version: ProtocolVersion,
  packetId: number,
  reason?: number,
  properties?: AckProperties,
) => Buffer

/** In the shortest form the version and values allow (section 3.4.2.1); reason and properties are left out on 3.1.1. */
function ackEncoder(type: AckType): EncodeAck {
  const firstByte = (type << 4) | (type === PacketType.pubrel ? 2 : 0)
  return (version, packetId, reason = ReasonCode.success, properties) => {
    const writer = new Writer().uint16(packetId)
    if (version === 5 && properties) writer.byte(reason).properties('ack', properties)
    else if (version === 5 && reason !== ReasonCode.success) writer.byte(reason)
    return writer.finish(firstByte)
  }
}

export const encodePuback: EncodeAck = ackEncoder(PacketType.puback)
export const encodePubrec: EncodeAck = ackEncoder(PacketType.pubrec)
export const encodePubrel: EncodeAck = ackEncoder(PacketType.pubrel)
export const encodePubcomp: EncodeAck = ackEncoder(PacketType.pubcomp)

/** DISCONNECT of a server (section 3.14): MQTT 5 only, a 3.1.1 server just closes. */
export function encodeDisconnect(reason: number, properties?: ServerDisconnectProperties): Buffer {
  const writer = new Writer().byte(reason)
  if (properties) writer.properties('serverDisconnect', properties)
  return writer.finish(PacketType.disconnect << 4)
}

export interface PublishInput {
  readonly version: ProtocolVersion
  readonly topic: string
  /** Ignored at QoS 0. */
  readonly packetId?: number
  readonly qos: Qos
  readonly dup?: boolean
  readonly retain?: boolean
  /** Left out on 3.1.1. */
  readonly properties?: PublishProperties | DeliveryProperties | null
  readonly payload: Uint8Array
}

/** PUBLISH (section 3.3) in either direction, for cold paths. */
export function encodePublish(input: PublishInput): Buffer {
  const { version, topic, packetId = 0, qos, dup = false, retain = false, properties, payload } = input
  const writer = new Writer().text(topic)
  if (qos > 0) {
    if (packetId < 1) throw new RangeError(`packet identifier ${packetId} at QoS ${qos}`)
    writer.uint16(packetId)
  }
  if (version === 5) writer.properties('delivery', properties)
  writer.raw(payload)
  return writer.finish((PacketType.publish << 4) | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0))
}
