/** What a server says to a client: for reading the frames of the embedded engine, and for tests. */
import type { ProtocolVersion } from './constants.ts'
import type { AckProperties, ConnackProperties, ServerDisconnectProperties } from './properties.ts'
import { Reader } from './reader.ts'
import { malformed } from './violation.ts'

export interface ConnackPacket {
  readonly sessionPresent: boolean
  readonly code: number
  readonly properties: ConnackProperties | null
}

/** SUBACK or UNSUBACK; an UNSUBACK of 3.1.1 has no codes. */
export interface SubackPacket {
  readonly packetId: number
  readonly properties: AckProperties | null
  readonly codes: readonly number[]
}

export interface ServerDisconnectPacket {
  readonly reason: number
  readonly properties: ServerDisconnectProperties | null
}

/** Decodes the body of a CONNACK (section 3.2). */
export function decodeConnack(
  buffer: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
): ConnackPacket {
  const reader = new Reader(buffer, start, end)
  const flags = reader.byte()
  if (flags > 1) malformed('reserved bits of the connect acknowledge flags [MQTT-3.2.2-1]')
  const code = reader.byte()
  const properties = version === 5 ? reader.properties('connack') : null
  reader.finish()
  return { sessionPresent: flags === 1, code, properties }
}

/** Decodes the body of a SUBACK (section 3.9) or UNSUBACK (section 3.11). */
export function decodeSuback(
  buffer: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
): SubackPacket {
  const reader = new Reader(buffer, start, end)
  const packetId = reader.packetId()
  const properties = version === 5 ? reader.properties('ack') : null
  return { packetId, properties, codes: [...buffer.subarray(reader.at, end)] }
}

/** Decodes the body of a server's DISCONNECT (section 3.14, MQTT 5 only). */
export function decodeServerDisconnect(buffer: Buffer, start: number, end: number): ServerDisconnectPacket {
  const reader = new Reader(buffer, start, end)
  const reason = reader.left === 0 ? 0 : reader.byte()
  const properties = reader.left === 0 ? null : reader.properties('serverDisconnect')
  reader.finish()
  return { reason, properties }
}
