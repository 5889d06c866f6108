/** A TCP or TLS socket as a transport of the gate. */
import type { Socket } from 'node:net'
import type { Transport, TransportEvents } from '../gate/transport.ts'

/** A peer that does not take our last bytes and close is cut after this. */
const END_GRACE_MS = 2000

export class SocketTransport implements Transport {
  readonly kind: 'tcp' | 'tls'
  readonly remoteAddress: string
  readonly #socket: Socket

  constructor(socket: Socket, kind: 'tcp' | 'tls') {
    this.kind = kind
    this.remoteAddress = socket.remoteAddress ?? ''
    this.#socket = socket
  }

  /** From here on the socket's events go to `events`. */
  listen(events: TransportEvents): void {
    const socket = this.#socket
    socket.on('data', (chunk) => events.onData(chunk as Buffer))
    socket.on('drain', () => events.onDrain())
    // An error is followed by 'close', which is all that matters here.
    socket.on('error', ignore)
    socket.on('close', () => events.onClose())
  }

  get pendingBytes(): number {
    return this.#socket.writableLength
  }

  write(bytes: Buffer): boolean {
    this.#socket.write(bytes)
    // What the kernel took at once is not counted as pending.
    return this.#socket.writableLength === 0
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
    // Someone who paused is not seen to close; what still comes is thrown away by the closed connection.
    this.#socket.resume()
    setTimeout(() => this.#socket.destroy(), END_GRACE_MS).unref()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

function ignore(): void {}
