/**
 * The end of connections that have nothing to answer. When a server closes, Node and Fastify end those that are between
 * two requests at that moment; a stop would wait for the others until their times are over: for one that never asked
 * for anything, as browsers open them in advance, and for one whose request was answered after that moment.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import type { FastifyInstance } from 'fastify'

/** From when the server closes on, ends each connection that has no request, or no more; answers go out whole. */
export function endIdleConnections(app: FastifyInstance): void {
  /** Requests that are being answered, of each connection. */
  const requests = new Map<Socket, number>()
  let isClosing = false

  const note = (socket: Socket, change: number): void => {
    const count = (requests.get(socket) ?? 0) + change
    if (!socket.destroyed) requests.set(socket, count)
    if (isClosing && count === 0) socket.destroySoon()
  }
  app.server.on(app.server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    socket.once('close', () => requests.delete(socket))
    note(socket, 0)
  })
  app.server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    note(socket, 1)
    response.once('close', () => note(socket, -1))
  })
  app.addHook('preClose', async () => {
    isClosing = true
    for (const socket of requests.keys()) note(socket, 0)
  })
}
