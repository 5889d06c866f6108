/** The fields of a packet as MQTT writes them (section 1.5), into a buffer that grows. */
import { FIELD_BYTES_MAX, VARINT_MAX } from './constants.ts'
import {
  findProperty,
  PROPERTIES,
  type PropertyList,
  type PropertyName,
  type PropertyValue,
} from './properties.ts'

/** Bytes a Variable Byte Integer takes (section 1.5.5). */
export function varintBytes(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  return value < 0x20_0000 ? 3 : 4
}

/** Writes a Variable Byte Integer in its shortest form [MQTT-1.5.5-1] and returns the new offset. */
export function writeVarint(target: Buffer, offset: number, value: number): number {
  let rest = value
  let at = offset
  while (rest > 0x7f) {
    target[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  target[at++] = rest
  return at
}

/** A growing body of one packet, for the cold paths. Values out of bounds are a fault of ours: RangeError. */
export class Writer {
  #buffer = Buffer.allocUnsafe(128)
  #at = 0

  byte(value: number): this {
    const at = this.#room(1)
    this.#buffer[at] = value
    return this
  }

  uint16(value: number): this {
    const at = this.#room(2)
    this.#buffer.writeUInt16BE(value, at)
    return this
  }

  uint32(value: number): this {
    const at = this.#room(4)
    this.#buffer.writeUInt32BE(value, at)
    return this
  }

  varint(value: number): this {
    if (value < 0 || value > VARINT_MAX) throw new RangeError(`variable byte integer of ${value}`)
    const at = this.#room(varintBytes(value))
    writeVarint(this.#buffer, at, value)
    return this
  }

  text(value: string): this {
    return this.binary(Buffer.from(value, 'utf8'))
  }

  binary(value: Uint8Array): this {
    if (value.length > FIELD_BYTES_MAX) throw new RangeError(`field of ${value.length} bytes`)
    return this.uint16(value.length).raw(value)
  }

  raw(value: Uint8Array): this {
    const at = this.#room(value.length)
    this.#buffer.set(value, at)
    return this
  }

  /** A property list with its length. Keys of undefined value are left out. */
  properties<L extends PropertyList>(list: L, values: object | null | undefined): this {
    const inner = new Writer()
    for (const [name, value] of Object.entries(values ?? {})) {
      if (value !== undefined) writeProperty(inner, list, name as PropertyName, value as PropertyValue)
    }
    const bytes = inner.#buffer.subarray(0, inner.#at)
    return this.varint(bytes.length).raw(bytes)
  }

  /** The whole packet: fixed header, then what was written. */
  finish(firstByte: number): Buffer {
    const header = 1 + varintBytes(this.#at)
    if (this.#at > VARINT_MAX) throw new RangeError(`packet of ${this.#at} bytes`)
    const packet = Buffer.allocUnsafe(header + this.#at)
    packet[0] = firstByte
    writeVarint(packet, 1, this.#at)
    this.#buffer.copy(packet, header, 0, this.#at)
    return packet
  }

  #room(bytes: number): number {
    const at = this.#at
    this.#at += bytes
    if (this.#at > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#at, this.#buffer.length * 2))
      this.#buffer.copy(grown, 0, 0, at)
      this.#buffer = grown
    }
    return at
  }
}

function writeProperty(writer: Writer, list: PropertyList, name: PropertyName, value: PropertyValue): void {
  const spec = PROPERTIES[name]
  if (spec === undefined || findProperty(list, spec.id)?.name !== name) {
    throw new RangeError(`property ${name} does not belong in ${list}`)
  }
  switch (spec.wire) {
    case 'pairs':
      for (const [key, text] of value as readonly (readonly [string, string])[]) {
        writer.byte(spec.id).text(key).text(text)
      }
      return
    case 'varints':
      for (const each of value as readonly number[]) writer.byte(spec.id).varint(each)
      return
    case 'boolean':
      writer.byte(spec.id).byte(value ? 1 : 0)
      return
    case 'bit':
      writer.byte(spec.id).byte(value as number)
      return
    case 'uint16':
      writer.byte(spec.id).uint16(value as number)
      return
    case 'uint32':
      writer.byte(spec.id).uint32(value as number)
      return
    case 'varint':
      writer.byte(spec.id).varint(value as number)
      return
    case 'binary':
      writer.byte(spec.id).binary(value as Buffer)
      return
    default:
      writer.byte(spec.id).text(value as string)
  }
}
