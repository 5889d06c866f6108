/** PUBLISH and PUBACK of the hot path, written into a buffer of the caller without an allocation. */
import { PacketType, type ProtocolVersion } from './constants.ts'
import { varintBytes, writeVarint } from './writer.ts'

function publishBodyBytes(
  topicBytes: number,
  payloadBytes: number,
  version: ProtocolVersion,
  qos: Qos01,
): number {
  return 2 + topicBytes + (qos === 1 ? 2 : 0) + (version === 5 ? 1 : 0) + payloadBytes
}

type Qos01 = 0 | 1

/** Whole size of a PUBLISH without properties, as `writePublish` writes it. */
export function publishFrameBytes(
  topicBytes: number,
  payloadBytes: number,
  version: ProtocolVersion,
  qos: Qos01,
): number {
  const body = publishBodyBytes(topicBytes, payloadBytes, version, qos)
  return 1 + varintBytes(body) + body
}

/**
 * Writes a PUBLISH without properties into `target`, which must have `publishFrameBytes` of room; returns the new offset.
 *
 * `firstByte` carries type, DUP, QoS and RETAIN. `topic` comes without its length prefix and must be a valid topic name
 * of at most 65,535 bytes. `packetId` is ignored at QoS 0. Nothing is checked: all of it is the server's own.
 */
export function writePublish(
  target: Buffer,
  offset: number,
  firstByte: number,
  topic: Buffer,
  packetId: number,
  version: ProtocolVersion,
  payload: Buffer,
  payloadStart: number,
  payloadEnd: number,
): number {
  const hasId = (firstByte & 0x06) !== 0
  const body = publishBodyBytes(topic.length, payloadEnd - payloadStart, version, hasId ? 1 : 0)
  target[offset] = firstByte
  let at = writeVarint(target, offset + 1, body)
  target[at++] = topic.length >> 8
  target[at++] = topic.length & 0xff
  target.set(topic, at)
  at += topic.length
  if (hasId) {
    target[at++] = packetId >> 8
    target[at++] = packetId & 0xff
  }
  if (version === 5) target[at++] = 0
  payload.copy(target, at, payloadStart, payloadEnd)
  return at + payloadEnd - payloadStart
}

/** Writes a successful PUBACK in its four-byte form, valid on both versions; returns the new offset. */
export function writePuback(target: Buffer, offset: number, packetId: number): number {
  target[offset] = PacketType.puback << 4
  target[offset + 1] = 2
  target[offset + 2] = packetId >> 8
  target[offset + 3] = packetId & 0xff
  return offset + 4
}
