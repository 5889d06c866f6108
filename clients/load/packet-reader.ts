/** A server that announces more than this is not answered but cut. */
const PACKET_BYTES_MAX = 1 << 20

export interface PacketSink {
  packet(header: number, bytes: Buffer, start: number, end: number, receivedUs: number): void
}

/** Joins what was left of the last read with the next one; shared, because a read is parsed before the next begins. */
let joined = Buffer.allocUnsafeSlow(1 << 19)

/** Cuts the byte stream of one connection into packets and hands them out in place; nothing is copied but a cut packet. */
export class PacketReader {
  private readonly sink: PacketSink
  private rest: Buffer | undefined

  constructor(sink: PacketSink) {
    this.sink = sink
  }

  /** `bytes` may be reused as soon as this returns. */
  read(bytes: Buffer, length: number, receivedUs: number): void {
    if (this.rest === undefined) {
      this.cut(bytes, length, receivedUs)
      return
    }
    const before = this.rest
    const total = before.length + length
    if (joined.length < total) joined = Buffer.allocUnsafeSlow(total * 2)
    before.copy(joined)
    bytes.copy(joined, before.length, 0, length)
    this.rest = undefined
    this.cut(joined, total, receivedUs)
  }

  private cut(bytes: Buffer, length: number, receivedUs: number): void {
    let at = 0
    while (at + 2 <= length) {
      let bodyAt = at + 1
      let remaining = 0
      let scale = 1
      let digit = 128
      while (digit >= 128 && bodyAt < length) {
        digit = bytes[bodyAt++]!
        remaining += (digit & 127) * scale
        scale *= 128
      }
      if (remaining > PACKET_BYTES_MAX) throw new Error(`packet of ${remaining} bytes`)
      if (digit >= 128 || bodyAt + remaining > length) break
      this.sink.packet(bytes[at]!, bytes, bodyAt, bodyAt + remaining, receivedUs)
      at = bodyAt + remaining
    }
    if (at < length) this.rest = Buffer.from(bytes.subarray(at, length))
  }
}
