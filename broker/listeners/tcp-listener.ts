/** MQTT over TCP and over TLS. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import type { Gate } from '../gate/gate.ts'
import { type ProxySettings, requireProxyHeaders } from './proxied-server.ts'
import { SocketTransport } from './socket-transport.ts'

/** Connections that the kernel keeps until they are accepted: a reconnect storm comes all at once. */
const BACKLOG = 4096
const HANDSHAKE_TIMEOUT_MS = 10_000

type TlsFiles = Pick<TlsOptions, 'cert' | 'key'>

/**
 * Listens for MQTT, behind proxies if `proxies` is given; rejects with the error of `listen`, such as EADDRINUSE.
 */
export async function listenTcp(
  gate: Gate,
  host: string,
  port: number,
  tls: TlsFiles | null,
  proxies: ProxySettings | null = null,
): Promise<Server> {
  const accept = (socket: Socket): void => {
    const transport = new SocketTransport(socket, tls === null ? 'tcp' : 'tls')
    const events = gate.accept(transport)
    if (events === null) socket.destroy()
    else transport.listen(events)
  }
  const server =
    tls === null
      ? createServer({ noDelay: true }, accept)
      : createTlsServer(
          { ...tls, minVersion: 'TLSv1.2', handshakeTimeout: HANDSHAKE_TIMEOUT_MS },
          (socket) => {
            socket.setNoDelay(true)
            accept(socket)
          },
        )
  // Failures of a handshake concern one peer; its socket is gone already.
  server.on('tlsClientError', () => {})
  if (proxies !== null) requireProxyHeaders(server, proxies)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return server
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}
