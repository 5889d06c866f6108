/** PUBLISH, of a client and of a server; its topic can be compared without being read. */
import { isUtf8 } from 'node:buffer'
import { type ProtocolVersion, type Qos, ReasonCode } from './constants.ts'
import type { DeliveryProperties, PublishProperties } from './properties.ts'
import { Reader, readText } from './reader.ts'
import { hasWildcard } from './topic-filter.ts'
import { malformed, ProtocolViolation, protocolError } from './violation.ts'

interface PublishBase<P> {
  /** Empty only on MQTT 5, where a Topic Alias then stands for it. */
  readonly topic: string
  readonly qos: Qos
  readonly dup: boolean
  readonly retain: boolean
  /** 0 at QoS 0. */
  readonly packetId: number
  /** Null when there are none. */
  readonly properties: P | null
  /** The payload is `buffer.subarray(payloadStart, payloadEnd)`; it is not copied. */
  readonly payloadStart: number
  readonly payloadEnd: number
}

/** A PUBLISH of a client. */
export type PublishPacket = PublishBase<PublishProperties>
/** A PUBLISH of a server, which may also hold Subscription Identifiers. */
export type DeliveryPacket = PublishBase<DeliveryProperties>

/** Compares the topic of a PUBLISH body with given bytes, in place; false also when the body is cut short. */
export function publishTopicEquals(buffer: Buffer, start: number, end: number, topic: Buffer): boolean {
  const bytes = topic.length
  const at = start + 2
  if (at + bytes > end) return false
  if (((buffer[start]! << 8) | buffer[start + 1]!) !== bytes) return false
  for (let i = 0; i < bytes; i++) if (buffer[at + i] !== topic[i]) return false
  return true
}

/**
 * Decodes the body of a client's PUBLISH (section 3.3); `flags` is the low nibble of the first byte.
 *
 * `knownTopic` may be given after `publishTopicEquals` was true for the same text: the topic is then neither read nor
 * checked again. Whether a Topic Alias is known or within Topic Alias Maximum is for the connection to check.
 *
 * Throws `ProtocolViolation`: 0x90 for an empty topic or wildcards [MQTT-3.3.2-2], 0x94 for alias 0, 0x99 for a payload
 * that is not the UTF-8 it claims, 0x82 for packet identifier 0 or a topic missing without alias, 0x81 for the rest.
 */
export function decodePublish(
  flags: number,
  buffer: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
  knownTopic?: string,
): PublishPacket {
  return decodeBody('publish', flags, buffer, start, end, version, knownTopic)
}

/** Decodes the body of a server's PUBLISH, as the engine writes them. */
export function decodeDelivery(
  flags: number,
  buffer: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
): DeliveryPacket {
  return decodeBody('delivery', flags, buffer, start, end, version, undefined)
}

function decodeBody(
  list: 'publish' | 'delivery',
  flags: number,
  buffer: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
  knownTopic: string | undefined,
): DeliveryPacket {
  const qos = readQos(flags)
  const topicEnd = readTopicEnd(buffer, start, end)
  const topic = knownTopic ?? readText(buffer, start + 2, topicEnd)
  if (knownTopic === undefined && hasWildcard(topic)) refuseTopic('topic name with a wildcard [MQTT-3.3.2-2]')
  let at = topicEnd
  let packetId = 0
  if (qos > 0) {
    packetId = readPacketId(buffer, at, end)
    at += 2
  }
  let properties: DeliveryProperties | null = null
  if (version === 5) {
    const reader = new Reader(buffer, at, end)
    properties = reader.properties(list)
    at = reader.at
    if (properties?.payloadFormatIndicator === 1) checkPayloadText(buffer, at, end)
  }
  if (topic.length === 0) checkEmptyTopic(version, properties)
  return {
    topic,
    qos,
    dup: (flags & 8) !== 0,
    retain: (flags & 1) !== 0,
    packetId,
    properties,
    payloadStart: at,
    payloadEnd: end,
  }
}

function readQos(flags: number): Qos {
  const qos = (flags >> 1) & 3
  if (qos === 3) malformed('PUBLISH with both QoS bits set [MQTT-3.3.1-4]')
  if (qos === 0 && flags & 8) malformed('PUBLISH with DUP at QoS 0 [MQTT-3.3.1-2]')
  return qos as Qos
}

function readTopicEnd(buffer: Buffer, start: number, end: number): number {
  if (start + 2 > end) malformed('PUBLISH ends before its topic name [MQTT-3.3.2-1]')
  const topicEnd = start + 2 + ((buffer[start]! << 8) | buffer[start + 1]!)
  if (topicEnd > end) malformed('topic name longer than its packet [MQTT-3.3.2-1]')
  return topicEnd
}

function readPacketId(buffer: Buffer, at: number, end: number): number {
  if (at + 2 > end) malformed('PUBLISH ends before its packet identifier (section 2.1.4)')
  const packetId = (buffer[at]! << 8) | buffer[at + 1]!
  if (packetId === 0) protocolError('packet identifier 0 [MQTT-2.2.1-3]')
  return packetId
}

function checkPayloadText(buffer: Buffer, start: number, end: number): void {
  if (isUtf8(buffer.subarray(start, end))) return
  throw new ProtocolViolation(
    ReasonCode.payloadFormatInvalid,
    'payload is not the UTF-8 it is said to be (section 3.3.2.3.2)',
  )
}

function checkEmptyTopic(version: ProtocolVersion, properties: DeliveryProperties | null): void {
  if (version === 4) refuseTopic('empty topic name [MQTT-4.7.3-1]')
  if (properties?.topicAlias === undefined) {
    protocolError('empty topic name without a topic alias (section 3.3.2.1)')
  }
}

function refuseTopic(detail: string): never {
  throw new ProtocolViolation(ReasonCode.topicNameInvalid, detail)
}
