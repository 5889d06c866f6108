/** Packets cut out of the bytes of a socket, with what is refused before the rest of a packet has come. */
import { PacketType, type ProtocolVersion, ReasonCode } from './constants.ts'
import { malformed, ProtocolViolation, protocolError } from './violation.ts'

export interface FrameSink {
  /**
   * Takes one whole packet. `start` is the first byte after the fixed header, `end` one past the last byte.
   *
   * The bytes are never written again by the framer, so `subarray` of them may be kept; it keeps the whole
   * received chunk alive, so long-lived values should be copied.
   *
   * Returning false means: this packet is taken, deliver no more until `resume`.
   */
  onFrame(firstByte: number, buffer: Buffer, start: number, end: number): boolean
}

/** Who wrote the bytes: decides which packet types may occur (MQTT 5 table 2-1). */
type Sender = 'client' | 'server'

/** Smallest buffer kept for an unfinished packet; it doubles as bytes really arrive. */
const PARTIAL_BYTES_MIN = 256

const HEADER_OK = 0
const HEADER_RESERVED_TYPE = 1
const HEADER_RESERVED_FLAGS = 2
const HEADER_QOS_3 = 3
const HEADER_DUP_QOS_0 = 4
const HEADER_WRONG_DIRECTION = 5

const SERVER_ONLY: readonly number[] = [
  PacketType.connack,
  PacketType.suback,
  PacketType.unsuback,
  PacketType.pingresp,
]
const CLIENT_ONLY: readonly number[] = [
  PacketType.connect,
  PacketType.subscribe,
  PacketType.unsubscribe,
  PacketType.pingreq,
]

function classifyFirstByte(firstByte: number, wrongDirection: readonly number[]): number {
  const type = firstByte >> 4
  const flags = firstByte & 0x0f
  if (type === 0) return HEADER_RESERVED_TYPE
  if (type === PacketType.publish) {
    const qos = (flags >> 1) & 3
    if (qos === 3) return HEADER_QOS_3
    return qos === 0 && flags >= 8 ? HEADER_DUP_QOS_0 : HEADER_OK
  }
  const wantsFlags2 =
    type === PacketType.pubrel || type === PacketType.subscribe || type === PacketType.unsubscribe
  if (flags !== (wantsFlags2 ? 2 : 0)) return HEADER_RESERVED_FLAGS
  return wrongDirection.includes(type) ? HEADER_WRONG_DIRECTION : HEADER_OK
}

function firstByteTable(wrongDirection: readonly number[]): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, firstByte) => classifyFirstByte(firstByte, wrongDirection))
}

const FIRST_BYTES: Readonly<Record<Sender, Uint8Array>> = {
  client: firstByteTable(SERVER_ONLY),
  server: firstByteTable(CLIENT_ONLY),
}

function refuseFirstByte(verdict: number): never {
  switch (verdict) {
    case HEADER_RESERVED_TYPE:
      return malformed('packet type 0 is reserved (section 2.1.2)')
    case HEADER_RESERVED_FLAGS:
      return malformed('reserved flags of the fixed header [MQTT-2.1.3-1], [MQTT-2.2.2-2] of 3.1.1')
    case HEADER_QOS_3:
      return malformed('PUBLISH with both QoS bits set [MQTT-3.3.1-4]')
    case HEADER_DUP_QOS_0:
      return malformed('PUBLISH with DUP at QoS 0 [MQTT-3.3.1-2]')
    default:
      return protocolError('a packet type that only the other side may send (table 2-1)')
  }
}

/**
 * Cuts a stream of bytes into MQTT packets.
 *
 * - A packet that lies whole in a chunk is handed over in place. An unfinished one is copied once into a buffer
 *   that grows with the bytes received (at most doubling, never above the announced size).
 * - Refused with `ProtocolViolation` as soon as the byte that tells has been seen, before anything is kept:
 *   reserved types and flags [MQTT-2.2.2-1/2], a remaining length of more than four bytes (section 2.1.4), a packet
 *   larger than `packetBytesMax` (fixed header included, as Maximum Packet Size counts) with 0x95.
 * - A remaining length that is not in its shortest form is accepted on MQTT 3.1.1, which does not forbid it, and
 *   refused on MQTT 5 [MQTT-1.5.5-1]. That the first packet is a CONNECT is for the connection to check; it calls
 *   `setVersion` from within `onFrame` when it has decoded it.
 * - After a violation, or whatever else the sink threw, the framer is closed: it keeps nothing and ignores all.
 */
export class Framer {
  /** Largest packet accepted, fixed header included. May be raised from within `onFrame`. */
  packetBytesMax: number
  readonly #firstBytes: Uint8Array
  #version: ProtocolVersion | 0 = 0
  #sawPaddedLength = false

  #partial: Buffer | null = null
  #partialBytes = 0
  /** Whole size of the unfinished packet, 0 while its fixed header is unfinished. */
  #partialTotal = 0
  #partialBodyStart = 0

  /** What came while stopped, oldest first. */
  #held: Buffer[] = []
  #heldBytes = 0
  #stopped = false
  #delivering = false
  #resumeAsked = false
  #closed = false

  /** Body length read by the last successful `#readHeader`. */
  #bodyBytes = 0

  constructor(packetBytesMax: number, sender: Sender = 'client') {
    this.packetBytesMax = packetBytesMax
    this.#firstBytes = FIRST_BYTES[sender]
  }

  /** Bytes received and not delivered yet: the unfinished packet and what is held while stopped. */
  get pendingBytes(): number {
    return this.#partialBytes + this.#heldBytes
  }

  /** True from the moment the sink returned false until `resume`. */
  get stopped(): boolean {
    return this.#stopped
  }

  /**
   * Applies the rules of one version from the next packet on: on 3.1.1 type 15 is refused, on 5 a padded remaining
   * length is. Throws when the packets so far, the CONNECT included, already broke the latter.
   */
  setVersion(version: ProtocolVersion): void {
    this.#version = version
    if (version === 5 && this.#sawPaddedLength) refusePaddedLength()
  }

  /**
   * Takes the next bytes of the stream and delivers every packet that is complete. While stopped it only keeps them:
   * the caller stops reading its socket, and what was already under way is all that comes.
   */
  push(chunk: Buffer, sink: FrameSink): void {
    if (this.#closed || chunk.length === 0) return
    if (this.#stopped || this.#delivering) {
      this.#hold(chunk)
      return
    }
    this.#deliverAll(chunk, sink)
  }

  /** Continues after the sink returned false, with what was kept. The sink may stop it again. */
  resume(sink: FrameSink): void {
    if (this.#delivering) {
      this.#resumeAsked = true
      return
    }
    if (this.#closed || !this.#stopped) return
    this.#stopped = false
    const next = this.#unhold()
    if (next) this.#deliverAll(next, sink)
  }

  /** Drops all that is kept and ignores everything from now on. */
  close(): void {
    this.#closed = true
    this.#partial = null
    this.#partialBytes = 0
    this.#held = []
    this.#heldBytes = 0
  }

  #hold(chunk: Buffer): void {
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
  }

  #unhold(): Buffer | undefined {
    const next = this.#held.shift()
    if (next) this.#heldBytes -= next.length
    return next
  }

  #deliverAll(first: Buffer, sink: FrameSink): void {
    this.#delivering = true
    let done = false
    try {
      let chunk: Buffer | undefined = first
      while (chunk) {
        const at = this.#deliverChunk(chunk, sink)
        if (this.#closed) break
        if (at < chunk.length) {
          this.#held.unshift(at === 0 ? chunk : chunk.subarray(at))
          this.#heldBytes += chunk.length - at
        }
        chunk = this.#stopped ? undefined : this.#unhold()
      }
      done = true
    } finally {
      this.#delivering = false
      if (!done) this.close()
    }
  }

  /** Returns how far it came: less than the chunk's length only when stopped or closed. */
  #deliverChunk(chunk: Buffer, sink: FrameSink): number {
    const chunkEnd = chunk.length
    let at = this.#partialBytes > 0 ? this.#completePartial(chunk, sink) : 0
    while (at < chunkEnd && !this.#stopped && !this.#closed) {
      const bodyStart = this.#readHeader(chunk, at, chunkEnd)
      const bodyEnd = bodyStart + this.#bodyBytes
      if (bodyStart < 0 || bodyEnd > chunkEnd) {
        this.#keepPartial(chunk, at, bodyStart)
        return chunkEnd
      }
      const firstByte = chunk[at]!
      at = bodyEnd
      this.#deliver(sink, firstByte, chunk, bodyStart, bodyEnd)
    }
    return at
  }

  #deliver(sink: FrameSink, firstByte: number, buffer: Buffer, start: number, end: number): void {
    this.#resumeAsked = false
    const more = sink.onFrame(firstByte, buffer, start, end)
    // A sink may free its queue, and so ask to resume, before it gets to return false.
    this.#stopped = !more && !this.#resumeAsked
  }

  /** Reads the fixed header at `at`; returns where the body starts, or -1 when the header is not all there. */
  #readHeader(buffer: Buffer, at: number, end: number): number {
    const firstByte = buffer[at]!
    const verdict = this.#firstBytes[firstByte]!
    if (verdict !== HEADER_OK) refuseFirstByte(verdict)
    if (firstByte >= 0xf0 && this.#version === 4)
      malformed('packet type 15 is reserved in MQTT 3.1.1 (its section 2.2.1)')
    let length = 0
    let shift = 0
    for (let i = at + 1; i < end; i++) {
      const byte = buffer[i]!
      length += (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) this.#notePaddedLength()
        this.#checkTotal(i + 1 - at + length)
        this.#bodyBytes = length
        return i + 1
      }
      shift += 7
      if (shift === 28) malformed('remaining length of more than four bytes (section 2.1.4)')
    }
    return -1
  }

  #notePaddedLength(): void {
    this.#sawPaddedLength = true
    if (this.#version === 5) refusePaddedLength()
  }

  #checkTotal(totalBytes: number): void {
    if (totalBytes <= this.packetBytesMax) return
    throw new ProtocolViolation(
      ReasonCode.packetTooLarge,
      `packet of ${totalBytes} bytes, at most ${this.packetBytesMax} are accepted [MQTT-3.2.2-15]`,
    )
  }

  #keepPartial(chunk: Buffer, at: number, bodyStart: number): void {
    const bytes = chunk.length - at
    this.#partialTotal = 0
    if (bodyStart >= 0) {
      this.#partialBodyStart = bodyStart - at
      this.#partialTotal = this.#partialBodyStart + this.#bodyBytes
    }
    this.#partial = null
    this.#partialBytes = 0
    this.#appendPartial(chunk, at, at + bytes)
  }

  #appendPartial(chunk: Buffer, start: number, end: number): Buffer {
    const partial = this.#partialWithRoom(this.#partialBytes + end - start)
    chunk.copy(partial, this.#partialBytes, start, end)
    this.#partialBytes += end - start
    return partial
  }

  #partialWithRoom(bytesNeeded: number): Buffer {
    const old = this.#partial
    if (old && old.length >= bytesNeeded) return old
    const wanted = Math.max(bytesNeeded, PARTIAL_BYTES_MIN, old ? old.length * 2 : 0)
    const grown = Buffer.allocUnsafe(this.#partialTotal > 0 ? Math.min(wanted, this.#partialTotal) : wanted)
    old?.copy(grown, 0, 0, this.#partialBytes)
    this.#partial = grown
    return grown
  }

  /** Adds what the chunk has of the unfinished packet, delivers it if that was all; returns the bytes used. */
  #completePartial(chunk: Buffer, sink: FrameSink): number {
    let at = 0
    while (this.#partialTotal === 0) {
      if (at === chunk.length) return at
      const partial = this.#appendPartial(chunk, at, at + 1)
      at += 1
      const bodyStart = this.#readHeader(partial, 0, this.#partialBytes)
      if (bodyStart < 0) continue
      this.#partialBodyStart = bodyStart
      this.#partialTotal = bodyStart + this.#bodyBytes
    }
    const take = Math.min(this.#partialTotal - this.#partialBytes, chunk.length - at)
    const partial = this.#appendPartial(chunk, at, at + take)
    if (this.#partialBytes === this.#partialTotal) this.#deliverPartial(partial, sink)
    return at + take
  }

  #deliverPartial(partial: Buffer, sink: FrameSink): void {
    const end = this.#partialBytes
    // The sink may keep parts of this buffer, so it is not used again.
    this.#partial = null
    this.#partialBytes = 0
    this.#deliver(sink, partial[0]!, partial, this.#partialBodyStart, end)
  }
}

function refusePaddedLength(): never {
  return malformed('remaining length not in its shortest form [MQTT-1.5.5-1]')
}
