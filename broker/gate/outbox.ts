/**
 * What goes out: the packets of one turn of the event loop leave a connection as one write.
 *
 * A system call and the stream around it cost some 4 us, more than everything else that happens to a delivery, so
 * packets are encoded straight into a chunk that the connection borrows for the turn. A chunk that the kernel took
 * at once goes back to the pool; otherwise it belongs to the socket until it is garbage.
 */
import { publishFrameBytes, writePuback, writePublish } from './codec/encode.ts'
import type { Transport } from './transport.ts'

const CHUNK_BYTES = 16 * 1024
/** 16 MB of idle chunks. */
const POOLED_CHUNKS_MAX = 1024
const PUBACK_BYTES = 4

/** The connections that have something to send in this turn, and the chunks that they borrow. */
export class WriteTurn {
  readonly #dirty: Outbox[] = []
  readonly #pool: Buffer[] = []
  readonly #flush = (): void => this.flush()

  add(outbox: Outbox): void {
    if (this.#dirty.length === 0) setImmediate(this.#flush)
    this.#dirty.push(outbox)
  }

  flush(): void {
    // Writing may close a connection and so add others; those are flushed in the same pass.
    for (let i = 0; i < this.#dirty.length; i++) this.#dirty[i]!.flush()
    this.#dirty.length = 0
  }

  borrow(): Buffer {
    return this.#pool.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)
  }

  giveBack(chunk: Buffer): void {
    if (this.#pool.length < POOLED_CHUNKS_MAX) this.#pool.push(chunk)
  }
}

export class Outbox {
  readonly #turn: WriteTurn
  readonly #transport: Transport
  #chunk: Buffer | null = null
  #used = 0
  #queued = false
  #closed = false

  constructor(turn: WriteTurn, transport: Transport) {
    this.#turn = turn
    this.#transport = transport
  }

  /** Bytes that wait for the end of the turn or for the kernel. */
  get pendingBytes(): number {
    return this.#used + this.#transport.pendingBytes
  }

  /** A PUBLISH without properties whose payload is `payload[start, end)`; the id counts at QoS 1 only. */
  publish(
    firstByte: number,
    topic: Buffer,
    packetId: number,
    version: 4 | 5,
    payload: Buffer,
    start: number,
    end: number,
  ): void {
    const qos = (firstByte & 0x06) === 0 ? 0 : 1
    const chunk = this.#room(publishFrameBytes(topic.length, end - start, version, qos))
    this.#used = writePublish(chunk, this.#used, firstByte, topic, packetId, version, payload, start, end)
  }

  puback(packetId: number): void {
    const chunk = this.#room(PUBACK_BYTES)
    this.#used = writePuback(chunk, this.#used, packetId)
  }

  /** A packet that is encoded already. */
  raw(packet: Buffer): void {
    const chunk = this.#room(packet.length)
    packet.copy(chunk, this.#used)
    this.#used += packet.length
  }

  flush(): void {
    this.#queued = false
    this.#writeOut()
  }

  /** Sends what is there, then nothing more. */
  close(): void {
    this.#writeOut()
    this.#closed = true
  }

  #room(bytes: number): Buffer {
    if (this.#chunk !== null && this.#used + bytes > this.#chunk.length) this.#writeOut()
    if (this.#chunk === null) {
      this.#chunk = bytes > CHUNK_BYTES ? Buffer.allocUnsafeSlow(bytes) : this.#turn.borrow()
    }
    if (!this.#queued) {
      this.#queued = true
      this.#turn.add(this)
    }
    return this.#chunk
  }

  #writeOut(): void {
    const chunk = this.#chunk
    if (chunk === null) return
    const used = this.#used
    this.#chunk = null
    this.#used = 0
    const free =
      this.#closed || this.#transport.write(used === chunk.length ? chunk : chunk.subarray(0, used))
    if (free && chunk.length === CHUNK_BYTES) this.#turn.giveBack(chunk)
  }
}
