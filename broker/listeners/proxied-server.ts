/**
 * A server behind proxies: every connection begins with a PROXY protocol header, before TLS, HTTP or MQTT, and comes
 * from a trusted proxy. What follows the header reaches the server as if the client had connected itself: its sockets
 * say the client's address as `remoteAddress`.
 */
import type { Server, Socket } from 'node:net'
import { type TLSSocket, Server as TlsServer } from 'node:tls'
import { type IsTrusted, trustNetworks } from '../../services/client-address.ts'
import { ProxyHeaderError, ProxyHeaderReader } from './proxy-protocol.ts'

/** Section 2 of the protocol: a proxy sends the header at once, so even a lost segment (3 s) leaves time. */
const PROXY_HEADER_TIMEOUT_MS = 5000
/** Connections that wait for their header at once; the next is closed. They are counted nowhere else yet. */
const PROXY_HEADERS_WAITING_MAX = 10_000

/** Why a connection was closed before its first own byte. */
type ProxyRefusal = 'untrusted' | 'bad_header' | 'timeout' | 'too_many'

export type ProxySettings = {
  /** Addresses and networks (`10.0.0.0/8`) of the proxies. */
  readonly trustedProxies: readonly string[]
  /** Told of every connection that is closed; `peer` is the address of the socket. */
  readonly onRefused: (reason: ProxyRefusal, peer: string, detail: string) => void
  readonly headerTimeoutMs?: number
}

/** Makes a server, of TCP, TLS, HTTP or HTTPS, take proxied connections only. To be called before it listens. */
export function requireProxyHeaders(server: Server, settings: ProxySettings): void {
  const accept = server.listeners('connection')
  server.removeAllListeners('connection')
  const clients = server instanceof TlsServer ? nameTlsClients(server) : null
  const isTrusted = trustNetworks(settings.trustedProxies)
  let waiting = 0
  server.on('connection', (socket: Socket) => {
    waiting++
    awaitHeader(socket, settings, isTrusted, waiting > PROXY_HEADERS_WAITING_MAX, (client) => {
      waiting--
      if (client === null) return
      if (client !== '') {
        clients?.add(socket, client)
        setRemoteAddress(socket, client)
      }
      for (const listener of accept) listener.call(server, socket)
    })
  })
}

/** Calls `done` once: with the client's address, with '' for the peer's own, or with null when the socket is closed. */
function awaitHeader(
  socket: Socket,
  settings: ProxySettings,
  isTrusted: IsTrusted,
  isFull: boolean,
  done: (client: string | null) => void,
): void {
  const peer = socket.remoteAddress ?? ''
  // It stays for the life of the socket: an error is followed by 'close', and between two owners nobody listens.
  socket.on('error', () => {})
  const reader = new ProxyHeaderReader()
  const timer = setTimeout(
    () => refuse('timeout', 'no complete PROXY protocol header in time'),
    settings.headerTimeoutMs ?? PROXY_HEADER_TIMEOUT_MS,
  )

  const finish = (client: string | null): void => {
    clearTimeout(timer)
    socket.off('readable', read)
    socket.off('close', onClose)
    done(client)
  }
  const refuse = (reason: ProxyRefusal, detail: string): void => {
    finish(null)
    socket.destroy()
    settings.onRefused(reason, peer, detail)
  }
  const onClose = (): void => finish(null)
  const read = (): void => {
    try {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) {
        const header = reader.push(chunk as Buffer)
        if (header === null) continue
        if (header.rest.length > 0) socket.unshift(header.rest)
        finish(header.address ?? '')
        return
      }
    } catch (error) {
      if (!(error instanceof ProxyHeaderError)) throw error
      refuse('bad_header', error.message)
    }
  }

  if (!isTrusted(peer)) refuse('untrusted', 'the peer is not in trustedProxies')
  else if (isFull) refuse('too_many', `${PROXY_HEADERS_WAITING_MAX} connections wait for their header`)
  else socket.on('readable', read).on('close', onClose)
}

// ---------------------------------------------------------------- the address of the client

function setRemoteAddress(socket: Socket, address: string): void {
  Object.defineProperty(socket, 'remoteAddress', { value: address, configurable: true })
}

/**
 * A TLS socket asks the kernel for its address and is not shown the socket below it, but both have the same peer: by
 * that the address is carried over, before the server's own listeners see the TLS socket.
 */
function nameTlsClients(server: TlsServer): { add(socket: Socket, client: string): void } {
  const clients = new Map<string, string>()
  const peerOf = (socket: Socket): string =>
    `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    const client = clients.get(peerOf(socket))
    if (client !== undefined) setRemoteAddress(socket, client)
  })
  return {
    add(socket, client) {
      const peer = peerOf(socket)
      clients.set(peer, client)
      socket.once('close', () => clients.delete(peer))
    },
  }
}
