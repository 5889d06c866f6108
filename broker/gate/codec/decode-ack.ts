/** Acknowledgements of a client: PUBACK, PUBREC, PUBREL, PUBCOMP. */
import { type AckType, PacketType, type ProtocolVersion, ReasonCode } from './constants.ts'
import type { AckProperties } from './properties.ts'
import { Reader } from './reader.ts'
import { malformed, protocolError } from './violation.ts'

export interface AckPacket {
  readonly packetId: number
  /** 0 when absent, and always on MQTT 3.1.1. */
  readonly reason: number
  readonly properties: AckProperties | null
}

/** Reason codes of PUBACK and PUBREC (tables 3-4 and 3-5). */
const RECEIVE_REASONS: ReadonlySet<number> = new Set([
  ReasonCode.success,
  ReasonCode.noMatchingSubscribers,
  ReasonCode.unspecifiedError,
  ReasonCode.implementationSpecificError,
  ReasonCode.notAuthorized,
  ReasonCode.topicNameInvalid,
  ReasonCode.packetIdentifierInUse,
  ReasonCode.quotaExceeded,
  ReasonCode.payloadFormatInvalid,
])

/** Reason codes of PUBREL and PUBCOMP (tables 3-6 and 3-7). */
const RELEASE_REASONS: ReadonlySet<number> = new Set([
  ReasonCode.success,
  ReasonCode.packetIdentifierNotFound,
])

/** The packet identifier of an acknowledgement in its two-byte form, the only one on MQTT 3.1.1; 0 when it is another. */
export function readPuback311(buffer: Buffer, start: number, end: number): number {
  return end - start === 2 ? (buffer[start]! << 8) | buffer[start + 1]! : 0
}

/**
 * Decodes the body of a PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7).
 *
 * Throws `ProtocolViolation` 0x82 for packet identifier 0 or a reason code not of this type [MQTT-3.4.2-1] [MQTT-3.5.2-1]
 * [MQTT-3.6.2-1] [MQTT-3.7.2-1], 0x81 for flags [MQTT-2.1.3-1], lengths and properties.
 */
export function decodeAck(
  type: AckType,
  flags: number,
  buffer: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
): AckPacket {
  if (flags !== (type === PacketType.pubrel ? 2 : 0))
    malformed('reserved flags of the fixed header [MQTT-2.1.3-1]')
  const reader = new Reader(buffer, start, end)
  const packetId = reader.packetId()
  if (version === 4 || reader.left === 0) {
    reader.finish()
    return { packetId, reason: ReasonCode.success, properties: null }
  }
  const reason = reader.byte()
  const allowed = type === PacketType.puback || type === PacketType.pubrec ? RECEIVE_REASONS : RELEASE_REASONS
  if (!allowed.has(reason)) protocolError('reason code not of this packet type [MQTT-3.4.2-1] [MQTT-3.6.2-1]')
  const properties = reader.left === 0 ? null : reader.properties('ack')
  reader.finish()
  return { packetId, reason, properties }
}
