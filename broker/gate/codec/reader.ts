/** The fields of a packet as MQTT writes them (section 1.5), read with every bound checked. */
import { isUtf8 } from 'node:buffer'
import { ReasonCode, USER_PROPERTIES_MAX } from './constants.ts'
import {
  findProperty,
  type NamedPropertySpec,
  type PropertiesOf,
  type PropertyList,
  type PropertyValue,
  type UserProperty,
} from './properties.ts'
import { hasWildcard } from './topic-filter.ts'
import { malformed, ProtocolViolation, protocolError } from './violation.ts'

/** Up to here a loop over the bytes beats the call into native code. */
const SHORT_STRING_BYTES = 128

/**
 * The text of a UTF-8 field: well formed, so without surrogates [MQTT-1.5.4-1], and without U+0000 [MQTT-1.5.4-2].
 * A byte order mark is kept [MQTT-1.5.4-3]. Control and non-characters, which a receiver may refuse, are accepted.
 */
export function readText(buffer: Buffer, start: number, end: number): string {
  if (end - start > SHORT_STRING_BYTES) return readLongText(buffer, start, end)
  for (let i = start; i < end; i++) {
    const byte = buffer[i]!
    if (byte === 0 || byte > 0x7f) return readLongText(buffer, start, end)
  }
  return buffer.toString('latin1', start, end)
}

function readLongText(buffer: Buffer, start: number, end: number): string {
  const bytes = buffer.subarray(start, end)
  if (!isUtf8(bytes)) malformed('string that is not well-formed UTF-8 [MQTT-1.5.4-1]')
  if (bytes.includes(0)) malformed('string with U+0000 [MQTT-1.5.4-2]')
  return bytes.toString('utf8')
}

/** Reads the fields of one packet in order, and never past its end. */
export class Reader {
  readonly buffer: Buffer
  at: number
  readonly end: number

  constructor(buffer: Buffer, start: number, end: number) {
    this.buffer = buffer
    this.at = start
    this.end = end
  }

  get left(): number {
    return this.end - this.at
  }

  byte(): number {
    if (this.at >= this.end) malformed('packet ends inside a field (section 2.1.4)')
    return this.buffer[this.at++]!
  }

  uint16(): number {
    const at = this.#take(2)
    return (this.buffer[at]! << 8) | this.buffer[at + 1]!
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.#take(4))
  }

  /** A Variable Byte Integer of at most four bytes, in its shortest form [MQTT-1.5.5-1]. */
  varint(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) << shift
      if (byte >= 0x80) continue
      if (byte === 0 && shift > 0) malformed('variable byte integer not in its shortest form [MQTT-1.5.5-1]')
      return value
    }
    return malformed('variable byte integer of more than four bytes (section 1.5.5)')
  }

  text(): string {
    const bytes = this.uint16()
    const at = this.#take(bytes)
    return readText(this.buffer, at, at + bytes)
  }

  /** A copy, so that keeping it does not keep the received chunk. */
  binary(): Buffer {
    const bytes = this.uint16()
    const at = this.#take(bytes)
    return Buffer.from(this.buffer.subarray(at, at + bytes))
  }

  /** A packet identifier, which is never 0 [MQTT-2.2.1-3]. */
  packetId(): number {
    const id = this.uint16()
    if (id === 0) protocolError('packet identifier 0 [MQTT-2.2.1-3]')
    return id
  }

  /** Nothing may follow the last field. */
  finish(): void {
    if (this.at !== this.end) malformed('bytes after the last field of the packet (section 2.1.4)')
  }

  /** A property list with its length (MQTT 5 section 2.2.2), null when it is empty. */
  properties<L extends PropertyList>(list: L): PropertiesOf<L> | null {
    const bytes = this.varint()
    if (bytes === 0) return null
    const start = this.#take(bytes)
    return readProperties(new Reader(this.buffer, start, start + bytes), list)
  }

  #take(bytes: number): number {
    const at = this.at
    if (bytes > this.end - at) malformed('field longer than its packet (section 2.1.4)')
    this.at = at + bytes
    return at
  }
}

function readProperties<L extends PropertyList>(reader: Reader, list: L): PropertiesOf<L> {
  // The keys are names of our own table, never text of the client.
  const found: Partial<Record<NamedPropertySpec['name'], PropertyValue>> = {}
  const pairs: UserProperty[] = []
  const identifiers: number[] = []
  while (reader.left > 0) {
    const spec = findProperty(list, reader.varint())
    if (!spec) malformed(`property that is unknown or not allowed in ${list} (section 2.2.2.2)`)
    if (spec.wire === 'pairs') {
      if (pairs.length === USER_PROPERTIES_MAX) refuseUserProperties()
      pairs.push([reader.text(), reader.text()])
      found[spec.name] = pairs
    } else if (spec.wire === 'varints') {
      identifiers.push(readValue(reader, spec) as number)
      found[spec.name] = identifiers
    } else {
      if (found[spec.name] !== undefined) protocolError(`property ${spec.name} twice (section 2.2.2.2)`)
      found[spec.name] = readValue(reader, spec)
    }
  }
  // Only what the table allows in this list was put in, with the type its wire form has.
  return found as PropertiesOf<L>
}

function readValue(reader: Reader, spec: NamedPropertySpec): PropertyValue {
  switch (spec.wire) {
    case 'boolean':
      return readBit(reader, spec) === 1
    case 'bit':
      return readBit(reader, spec)
    case 'uint16':
      return positive(reader.uint16(), spec)
    case 'uint32':
      return positive(reader.uint32(), spec)
    case 'varint':
    case 'varints':
      return positive(reader.varint(), spec)
    case 'string':
      return reader.text()
    case 'topic':
      return readResponseTopic(reader)
    case 'binary':
      return reader.binary()
    case 'pairs':
      return [[reader.text(), reader.text()]]
  }
}

function readBit(reader: Reader, spec: NamedPropertySpec): 0 | 1 {
  const byte = reader.byte()
  if (byte !== 0 && byte !== 1) protocolError(`property ${spec.name} is neither 0 nor 1`)
  return byte
}

function positive(value: number, spec: NamedPropertySpec): number {
  if (value > 0 || !spec.positive) return value
  if (spec.name === 'topicAlias') {
    throw new ProtocolViolation(ReasonCode.topicAliasInvalid, 'topic alias 0 [MQTT-3.3.2-8]')
  }
  return protocolError(`property ${spec.name} is 0`)
}

function readResponseTopic(reader: Reader): string {
  const topic = reader.text()
  if (topic.length === 0) protocolError('empty response topic [MQTT-4.7.3-1]')
  if (hasWildcard(topic)) protocolError('response topic with a wildcard [MQTT-3.3.2-14]')
  return topic
}

function refuseUserProperties(): never {
  throw new ProtocolViolation(
    ReasonCode.quotaExceeded,
    `more than ${USER_PROPERTIES_MAX} user properties in one packet`,
  )
}
