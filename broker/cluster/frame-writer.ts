/** Bytes that grow: frames are written one after the other into one buffer. */

const FIRST_BYTES = 4096

export class FrameWriter {
  bytes: Buffer
  at = 0

  constructor(size = FIRST_BYTES) {
    this.bytes = Buffer.allocUnsafe(size)
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    if (this.at + count <= this.bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at + count))
    this.bytes.copy(larger, 0, 0, this.at)
    this.bytes = larger
  }

  u8(value: number): void {
    this.reserve(1)
    this.bytes[this.at++] = value
  }

  u32(value: number): void {
    this.reserve(4)
    this.at = this.bytes.writeUInt32LE(value, this.at)
  }

  /** Up to 2^48 - 1. */
  u48(value: number): void {
    this.reserve(6)
    this.at = this.bytes.writeUIntLE(value, this.at, 6)
  }

  /** A double, for what does not fit into 48 bits. */
  f64(value: number): void {
    this.reserve(8)
    this.at = this.bytes.writeDoubleLE(value, this.at)
  }

  /** UTF-8 of at most 255 bytes: ids are that short. Throws a `RangeError` for more. */
  short(text: string): void {
    this.reserve(1 + text.length * 3)
    const length = this.bytes.write(text, this.at + 1)
    if (length > 0xff) throw new RangeError('a text of a frame is longer than 255 bytes')
    this.bytes[this.at] = length
    this.at += 1 + length
  }

  /** UTF-8 with its length. */
  long(text: string): void {
    const length = Buffer.byteLength(text)
    this.u32(length)
    this.reserve(length)
    this.at += this.bytes.write(text, this.at)
  }

  raw(bytes: Buffer, start: number, end: number): void {
    this.reserve(end - start)
    this.at += bytes.copy(this.bytes, this.at, start, end)
  }

  /** A copy of what stands from `start` on. */
  copyFrom(start: number): Buffer {
    return Buffer.from(this.bytes.subarray(start, this.at))
  }
}

/** Reads what {@link FrameWriter} wrote; throws a `RangeError` where bytes are missing. */
export class FrameReader {
  readonly bytes: Buffer
  readonly end: number
  at: number

  constructor(bytes: Buffer, start: number, end: number) {
    if (start < 0 || end > bytes.length || start > end) throw new RangeError('a frame is cut')
    this.bytes = bytes
    this.at = start
    this.end = end
  }

  /** Where the next `count` bytes start. */
  skip(count: number): number {
    const start = this.at
    if (start + count > this.end) throw new RangeError('a frame is cut')
    this.at = start + count
    return start
  }

  u8(): number {
    return this.bytes[this.skip(1)]!
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.skip(4))
  }

  u48(): number {
    return this.bytes.readUIntLE(this.skip(6), 6)
  }

  f64(): number {
    return this.bytes.readDoubleLE(this.skip(8))
  }

  short(): string {
    const length = this.u8()
    const start = this.skip(length)
    return this.bytes.toString('utf8', start, start + length)
  }

  long(): string {
    const length = this.u32()
    const start = this.skip(length)
    return this.bytes.toString('utf8', start, start + length)
  }
}
