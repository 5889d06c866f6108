/**
 * One message between two processes of this machine. What is sent thousands of times a second travels as an array of
 * numbers, one string and one run of bytes, because objects cost far more than bytes; anything else is one value in
 * the structured clone format [nodejs.org/api/v8.html#serialization-api].
 *
 * Layout, little endian: length of the whole frame (u32), kind (u8), bytes per unit of text (u8), two empty bytes,
 * count of numbers (u32), units of text (u32), count of bytes (u32), four empty bytes; then the numbers (f64), the
 * text, the bytes.
 */
import { deserialize, serialize } from 'node:v8'

export const HEADER_BYTES = 24
const NUMBER_BYTES = 8
/** One byte a unit for ASCII, else two: UTF-16 as it is, with its lone surrogates. */
const ASCII = 1
const UTF16 = 2

export type Frame = { kind: number; numbers: Float64Array; text: string; bytes: Buffer }

const NO_BYTES = Buffer.alloc(0)

export function encodeFrame(
  kind: number,
  numbers: Float64Array | Uint32Array,
  text: string,
  bytes: Uint8Array,
): Buffer {
  const unit = Buffer.byteLength(text) === text.length ? ASCII : UTF16
  const textStart = HEADER_BYTES + numbers.length * NUMBER_BYTES
  const bytesStart = textStart + text.length * unit
  const frame = Buffer.allocUnsafeSlow(bytesStart + bytes.length)
  frame.fill(0, 0, HEADER_BYTES)
  frame.writeUInt32LE(frame.length, 0)
  frame[4] = kind
  frame[5] = unit
  frame.writeUInt32LE(numbers.length, 8)
  frame.writeUInt32LE(text.length, 12)
  frame.writeUInt32LE(bytes.length, 16)
  new Float64Array(frame.buffer, HEADER_BYTES, numbers.length).set(numbers)
  frame.write(text, textStart, unit === ASCII ? 'latin1' : 'utf16le')
  frame.set(bytes, bytesStart)
  return frame
}

/** A frame that is one value; {@link readValue} reads it. */
export function encodeValue(kind: number, value: unknown): Buffer {
  return encodeFrame(kind, new Float64Array(0), '', serialize(value))
}

/** Reads a whole frame; its bytes are not copied. */
export function decodeFrame(frame: Buffer): Frame {
  const count = frame.readUInt32LE(8)
  const units = frame.readUInt32LE(12)
  const textStart = HEADER_BYTES + count * NUMBER_BYTES
  const bytesStart = textStart + units * frame[5]!
  const numbers = new Float64Array(count)
  // Copied, because frames lie anywhere in what was read, and numbers must be aligned.
  if (count > 0) new Uint8Array(numbers.buffer).set(frame.subarray(HEADER_BYTES, textStart))
  const text =
    units === 0 ? '' : frame.toString(frame[5] === ASCII ? 'latin1' : 'utf16le', textStart, bytesStart)
  const bytes = bytesStart === frame.length ? NO_BYTES : frame.subarray(bytesStart)
  return { kind: frame[4]!, numbers, text, bytes }
}

export function readValue(frame: Frame): unknown {
  return deserialize(frame.bytes)
}

/** Cuts a stream of bytes into frames. */
export class FrameCutter {
  readonly #frameBytesMax: number
  #parts: Buffer[] = []
  #have = 0
  /** Bytes without which there is nothing to do. */
  #need = HEADER_BYTES

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax
  }

  /** The frames that are complete with this chunk. Throws on a length that no frame has. */
  push(chunk: Buffer): Frame[] {
    this.#parts.push(chunk)
    this.#have += chunk.length
    if (this.#have < this.#need) return []
    let rest = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts)
    const frames: Frame[] = []
    this.#need = HEADER_BYTES
    while (rest.length >= HEADER_BYTES) {
      const length = rest.readUInt32LE(0)
      if (length < HEADER_BYTES || length > this.#frameBytesMax) {
        throw new Error(`a frame between processes cannot have ${length} bytes`)
      }
      if (rest.length < length) {
        this.#need = length
        break
      }
      frames.push(decodeFrame(rest.subarray(0, length)))
      rest = rest.subarray(length)
    }
    this.#parts = rest.length === 0 ? [] : [rest]
    this.#have = rest.length
    return frames
  }
}
