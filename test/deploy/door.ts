/**
 * Doors to a server as clients find them, from a loopback address of the test's choice (127.0.0.x): how a CONNECT is
 * answered shows under which address it was counted.
 */
import { type EventEmitter, once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { generate } from 'mqtt-packet'
import { createWebSocketStream, WebSocket } from 'ws'
import { within } from '../harness/wait.ts'

/** What the server's cap of CONNECTs per address is in these tests. */
export const CAPPED = { WOCHAT_CONNECTS_PER_ADDRESS_MAX: '1' }

type Knock = {
  port: number
  /** Local address of the client. */
  from: string
  /** Bytes before anything else: a header of the PROXY protocol. */
  before?: Uint8Array
  /** Of the WebSocket upgrade. */
  headers?: Record<string, string>
}

/** How a socket with MQTT in it is opened. */
export type Door = (knock: Knock) => Promise<Duplex>

async function openSocket({ port, from, before }: Knock): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  if (before !== undefined) socket.write(before)
  return socket
}

export const overTcp: Door = openSocket

/** Any certificate will do: what is looked at here is who the server takes the client for. */
export const overTls: Door = async (knock) => {
  const socket = connectTls({ socket: await openSocket(knock), rejectUnauthorized: false })
  await openedOrNot(socket, 'secureConnect')
  return socket
}

function overWebSocket(open: (knock: Knock) => Promise<Duplex>, scheme: 'ws' | 'wss'): Door {
  return async (knock) => {
    const stream = await open(knock)
    if (stream.destroyed) return stream
    const socket = new WebSocket(`${scheme}://127.0.0.1:${knock.port}/mqtt`, 'mqtt', {
      createConnection: () => stream as Socket,
      headers: knock.headers ?? {},
    })
    const duplex = createWebSocketStream(socket)
    duplex.on('error', () => {})
    await openedOrNot(socket, 'open')
    return duplex
  }
}

export const overWs: Door = overWebSocket(overTcp, 'ws')
export const overWss: Door = overWebSocket(overTls, 'wss')

/** A door that is shut in our face is an answer too, so an error is not thrown but seen by the close that follows. */
function openedOrNot(door: EventEmitter, opened: string): Promise<void> {
  return new Promise((resolve) => {
    door.on(opened, resolve)
    door.on('error', () => resolve())
    door.on('close', () => resolve())
  })
}

/** A CONNECT without a password: counted first, then refused for it. */
const CONNECT = generate({
  cmd: 'connect',
  protocolId: 'MQTT',
  protocolVersion: 4,
  clean: true,
  clientId: 'alice/phone',
  keepalive: 60,
})
const CONNACK_BUSY = 3
const CONNACK_BAD_PASSWORD = 4

type Answer = 'counted' | 'too many' | 'closed'

/** Sends a CONNECT through a door: was it counted, was it one too many for its address, or was nothing answered? */
export async function knock(door: Door, at: Knock): Promise<Answer> {
  const stream = await door(at)
  const answer = within(firstBytes(stream, 4), 'a CONNACK or the end of the connection')
  stream.write(CONNECT)
  const connack = await answer
  stream.destroy()
  if (connack === null) return 'closed'
  if (connack[3] === CONNACK_BUSY) return 'too many'
  if (connack[3] === CONNACK_BAD_PASSWORD) return 'counted'
  throw new Error(`an unexpected answer: ${connack.toString('hex')}`)
}

function firstBytes(stream: Duplex, count: number): Promise<Buffer | null> {
  return new Promise((resolve) => {
    if (stream.destroyed) resolve(null)
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      const bytes = Buffer.concat(chunks)
      if (bytes.length >= count) resolve(bytes)
    })
    stream.on('close', () => resolve(null))
    stream.on('end', () => resolve(null))
    stream.on('error', () => resolve(null))
  })
}

/** As many CONNECTs as addresses are given, at the same moment. */
export function knockFrom(
  door: Door,
  at: Omit<Knock, 'from'>,
  addresses: readonly string[],
): Promise<Answer[]> {
  return Promise.all(addresses.map((from) => knock(door, { ...at, from })))
}
