import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import Fastify from 'fastify'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { until, within } from '../../test/harness/wait.ts'
import { createAdminServer } from './admin-server.ts'
import { endIdleConnections } from './idle-connections.ts'
import { startApi } from './testing/api.ts'
import { writeCertificate } from './testing/certificate.ts'

/** Well below the time that a connection has for its first head. */
const STOP_MS = 5000

async function opened(socket: Socket, event = 'connect'): Promise<Socket> {
  socket.on('error', () => {})
  await once(socket, event)
  return socket
}
const silentTo = (port: number) => opened(connect(port, '127.0.0.1'))

async function endsSoon(server: AsyncDisposable): Promise<void> {
  const end = async (): Promise<void> => {
    await server[Symbol.asyncDispose]()
  }
  await within(end(), 'the server to end', STOP_MS)
}

test('the end of the HTTP server does not wait for who never asked for anything', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'wochat-tls-'))
  const api = await startApi({ http: { tls: await writeCertificate(dir) } })
  const port = Number(new URL(api.url).port)
  await opened(connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }), 'secureConnect')
  await endsSoon(api)
  await rm(dir, { recursive: true })
})

test('nor does the admin server', async () => {
  const readiness = async () => ({ ready: true, reasons: [], warnings: [] })
  const admin = createAdminServer({ registry: new Registry(), readiness, operations: null })
  await silentTo(await admin.listen({ host: '127.0.0.1', port: 0 }))
  await endsSoon(admin)
})

test('a request that is there is answered, and its connection ends with that', async () => {
  const app = Fastify({ forceCloseConnections: 'idle' })
  endIdleConnections(app)
  const { promise: answer, resolve } = Promise.withResolvers<string>()
  let asked = false
  app.get('/', () => {
    asked = true
    return answer
  })
  const url = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  const silent = await silentTo(Number(url.port))
  const request = fetch(url)
  await until(() => asked, 'the request')
  const ended = app.close()
  await once(silent, 'close')
  resolve('whole')
  expect(await (await request).text()).toBe('whole')
  await within(ended, 'the server to end', STOP_MS)
})
