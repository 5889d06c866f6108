/** One connection of a run, from its socket to its acknowledgements. */
import net from 'node:net'
import { nowUs } from './clock.ts'
import { DISCONNECT, type MqttVersion } from './frames.ts'
import type { Stamp } from './marker.ts'
import { PacketReader, type PacketSink } from './packet-reader.ts'
import { type Message, stampMessage } from './payload.ts'
import type { Turn } from './turn.ts'

const CONNACK = 2
const PUBLISH = 3
const PUBACK = 4
const SUBACK = 9
const SERVER_DISCONNECT = 14

const PACKET_IDS = 65_535
const OUT_BYTES_FIRST = 256

/** Every socket reads into this one; a read is parsed before the next begins. */
const READ_BUFFER = Buffer.allocUnsafeSlow(256 * 1024)
const NOTHING = Buffer.alloc(0)

export interface ConnectionEvents {
  /** The payload is bytes[start, end), valid only during the call. */
  message(connection: Connection, bytes: Buffer, start: number, end: number, receivedUs: number): void
  acknowledged(connection: Connection, packetId: number, receivedUs: number): void
  /** The connection was ready and ended without being asked to. */
  lost(connection: Connection, reason: string): void
}

export interface Endpoint {
  host: string
  port: number
  localAddress?: string
  version: MqttVersion
}

/**
 * One MQTT connection on a raw socket. `new` -> `opening` (TCP, CONNECT) -> `subscribing` (only with a SUBSCRIBE) ->
 * `ready` -> `closed`; a `closed` connection may be opened again.
 */
export class Connection implements PacketSink {
  readonly number: number
  private readonly events: ConnectionEvents
  private readonly turn: Turn
  private state: 'new' | 'opening' | 'subscribing' | 'ready' | 'closed' = 'new'
  private socket: net.Socket | undefined
  private reader = new PacketReader(this)
  private version: MqttVersion = 4
  private subscribe: Buffer | undefined
  private settle: { resolve(): void; reject(error: Error): void } | undefined
  private onClosed: (() => void) | undefined
  private failure = ''
  private out = NOTHING
  private outLength = 0
  private waiting = false
  private packetId = 0
  sessionPresent = false
  resent = 0
  /** Where the marker was in the last payload. */
  markerHint = 0

  constructor(number: number, events: ConnectionEvents, turn: Turn) {
    this.number = number
    this.events = events
    this.turn = turn
  }

  /** Resolves when the server has answered CONNECT and, if given, SUBSCRIBE; rejects when it refused or closed. */
  open(endpoint: Endpoint, connect: Buffer, subscribe?: Buffer): Promise<void> {
    this.state = 'opening'
    this.failure = ''
    this.version = endpoint.version
    this.subscribe = subscribe
    this.reader = new PacketReader(this)
    const socket = net.connect({
      host: endpoint.host,
      port: endpoint.port,
      ...(endpoint.localAddress === undefined ? {} : { localAddress: endpoint.localAddress }),
      noDelay: true,
      onread: { buffer: READ_BUFFER, callback: (length) => this.received(length) },
    })
    this.socket = socket
    socket.on('error', (error) => {
      this.failure ||= error.message
    })
    socket.on('close', () => this.ended(socket))
    socket.once('connect', () => socket.write(connect))
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject }
    })
  }

  /** Sends one message in this turn and returns its packet id. */
  publish(message: Message, stamp: Stamp): number {
    const length = message.bytes.length
    const start = this.reserve(length)
    this.packetId = this.packetId === PACKET_IDS ? 1 : this.packetId + 1
    message.bytes.copy(this.out, start)
    stampMessage(this.out, start, message, this.packetId, stamp)
    return this.packetId
  }

  flush(): void {
    this.waiting = false
    const socket = this.socket
    const length = this.outLength
    this.outLength = 0
    if (socket === undefined || socket.destroyed || length === 0) return
    socket.write(this.out.subarray(0, length))
    // What the kernel did not take stays with the socket, and so does the buffer it lies in.
    if (socket.writableLength > 0) this.out = NOTHING
  }

  /** Says DISCONNECT and resolves once the socket is closed. */
  close(): Promise<void> {
    const socket = this.socket
    if (socket === undefined || this.state === 'closed' || this.state === 'new') return Promise.resolve()
    this.flush()
    this.state = 'closed'
    return new Promise((resolve) => {
      this.onClosed = resolve
      socket.end(DISCONNECT)
    })
  }

  /** Drops the socket without a word. */
  destroy(): void {
    this.state = 'closed'
    this.socket?.destroy()
  }

  packet(header: number, bytes: Buffer, start: number, end: number, receivedUs: number): void {
    switch (header >> 4) {
      case PUBLISH:
        this.receivePublish(header, bytes, start, end, receivedUs)
        break
      case PUBACK:
        this.events.acknowledged(this, (bytes[start]! << 8) | bytes[start + 1]!, receivedUs)
        break
      case CONNACK:
        this.receiveConnack(bytes, start)
        break
      case SUBACK:
        if (bytes[end - 1]! >= 0x80) this.fail(`SUBSCRIBE refused: 0x${bytes[end - 1]!.toString(16)}`)
        else this.becomeReady()
        break
      case SERVER_DISCONNECT:
        this.failure ||= `server sent DISCONNECT 0x${(bytes[start] ?? 0).toString(16)}`
        break
    }
  }

  private received(length: number): boolean {
    try {
      this.reader.read(READ_BUFFER, length, nowUs())
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error))
    }
    return true
  }

  private receivePublish(
    header: number,
    bytes: Buffer,
    start: number,
    end: number,
    receivedUs: number,
  ): void {
    let at = start + 2 + ((bytes[start]! << 8) | bytes[start + 1]!)
    if ((header & 0x06) !== 0) {
      const out = this.reserve(4)
      this.out[out] = 0x40
      this.out[out + 1] = 2
      this.out[out + 2] = bytes[at]!
      this.out[out + 3] = bytes[at + 1]!
      at += 2
    }
    if (this.version === 5) at = skipProperties(bytes, at)
    if ((header & 0x08) !== 0) this.resent += 1
    if ((header & 0x01) === 0) this.events.message(this, bytes, at, end, receivedUs)
  }

  private receiveConnack(bytes: Buffer, start: number): void {
    const code = bytes[start + 1]!
    if (code !== 0) {
      this.fail(`CONNECT refused: ${code}`)
      return
    }
    this.sessionPresent = (bytes[start]! & 1) === 1
    if (this.subscribe === undefined) {
      this.becomeReady()
      return
    }
    this.state = 'subscribing'
    this.socket?.write(this.subscribe)
  }

  private becomeReady(): void {
    this.state = 'ready'
    this.settle?.resolve()
    this.settle = undefined
  }

  private fail(reason: string): void {
    this.failure ||= reason
    this.socket?.destroy()
  }

  private ended(socket: net.Socket): void {
    if (socket !== this.socket) return
    const wasReady = this.state === 'ready'
    this.state = 'closed'
    this.out = NOTHING
    this.outLength = 0
    const reason = this.failure || 'closed by the server'
    this.settle?.reject(new Error(reason))
    this.settle = undefined
    this.onClosed?.()
    this.onClosed = undefined
    if (wasReady) this.events.lost(this, reason)
  }

  /** Room for `bytes` more in this turn's write; returns where it starts. */
  private reserve(bytes: number): number {
    const start = this.outLength
    const needed = start + bytes
    if (needed > this.out.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(OUT_BYTES_FIRST, 2 ** Math.ceil(Math.log2(needed))))
      this.out.copy(larger, 0, 0, start)
      this.out = larger
    }
    this.outLength = needed
    if (!this.waiting) {
      this.waiting = true
      this.turn.add(this)
    }
    return start
  }
}

function skipProperties(bytes: Buffer, at: number): number {
  let length = 0
  let scale = 1
  let position = at
  let digit: number
  do {
    digit = bytes[position++]!
    length += (digit & 127) * scale
    scale *= 128
  } while (digit >= 128)
  return position + length
}
