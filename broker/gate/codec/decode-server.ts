/** What a server says to a client, for reading the frames of the embedded engine. */
import type { ProtocolVersion } from './constants.ts'
import type { AckProperties, ConnackProperties } from './properties.ts'
import { Reader } from './reader.ts'
import { malformed } from './violation.ts'

interface ConnackPacket {
  readonly sessionPresent: boolean
  readonly code: number
  readonly properties: ConnackProperties | null
}

/** SUBACK or UNSUBACK; an UNSUBACK of 3.1.1 has no codes. */
interface SubackPacket {
  readonly packetId: number
  readonly properties: AckProperties | null
  readonly codes: readonly number[]
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
