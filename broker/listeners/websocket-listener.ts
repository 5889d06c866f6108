/** MQTT over WebSocket (section 6): `/mqtt` on the HTTP port, subprotocol `mqtt`, binary frames. */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { clientAddress, trustNetworks } from '../../services/client-address.ts'
import type { Gate } from '../gate/gate.ts'
import type { Transport, TransportEvents } from '../gate/transport.ts'

const PATH = '/mqtt'
const SUBPROTOCOL = 'mqtt'
/** RFC 6455, section 7.4.1. */
const CLOSE_UNSUPPORTED_DATA = 1003
const END_GRACE_MS = 2000

class WebSocketTransport implements Transport {
  readonly kind = 'ws'
  readonly remoteAddress: string
  readonly #socket: WebSocket
  readonly #stream: Duplex

  constructor(socket: WebSocket, stream: Duplex, remoteAddress: string) {
    this.#socket = socket
    this.#stream = stream
    this.remoteAddress = remoteAddress
  }

  listen(events: TransportEvents): void {
    this.#socket.on('message', (data, isBinary) => {
      // Control packets come in binary frames only [MQTT-6.0.0-1].
      if (isBinary) events.onData(data as Buffer)
      else this.#socket.close(CLOSE_UNSUPPORTED_DATA)
    })
    this.#stream.on('drain', () => events.onDrain())
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => events.onClose())
  }

  get pendingBytes(): number {
    return this.#socket.bufferedAmount
  }

  write(bytes: Buffer): boolean {
    this.#socket.send(bytes)
    return this.#socket.bufferedAmount === 0
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.close()
    this.#socket.resume()
    setTimeout(() => this.#socket.terminate(), END_GRACE_MS).unref()
  }

  destroy(): void {
    this.#socket.terminate()
  }
}

type WebSocketSettings = {
  /** Largest WebSocket message; MQTT packets may be split and joined at will [MQTT-6.0.0-2]. */
  messageBytesMax: number
  /** Origins besides the server's own that browsers may come from. */
  allowedOrigins: readonly string[]
  /** Proxies whose `x-forwarded-for` is believed: addresses or networks. */
  trustedProxies?: readonly string[]
}

/** Takes the upgrades of `/mqtt` on an HTTP server. */
export function attachWebSocket(gate: Gate, server: Server, settings: WebSocketSettings): void {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: settings.messageBytesMax,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  })
  const isTrusted = trustNetworks(settings.trustedProxies ?? [])
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const refusal = refusalOf(request, settings.allowedOrigins)
    if (refusal !== null) {
      stream.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    const peer = request.socket.remoteAddress ?? ''
    const address = clientAddress(peer, request.headers['x-forwarded-for'], isTrusted)
    sockets.handleUpgrade(request, stream, head, (socket) => {
      const transport = new WebSocketTransport(socket, stream, address)
      const events = gate.accept(transport)
      if (events === null) socket.terminate()
      else transport.listen(events)
    })
  })
}

function refusalOf(request: IncomingMessage, allowedOrigins: readonly string[]): string | null {
  if (request.url?.split('?')[0] !== PATH) return '404 Not Found'
  if (!isOriginAllowed(request, allowedOrigins)) return '403 Forbidden'
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  // A client must ask for the subprotocol [MQTT-6.0.0-3].
  return offered.includes(SUBPROTOCOL) ? null : '400 Bad Request'
}

/** Programs send no Origin; a browser's must be this server's own, or listed. */
function isOriginAllowed({ headers }: IncomingMessage, allowedOrigins: readonly string[]): boolean {
  const { origin, host } = headers
  if (origin === undefined) return true
  if (allowedOrigins.includes(origin)) return true
  try {
    return new URL(origin).host === host
  } catch {
    return false
  }
}
