/**
 * The real HAProxy and nginx with the shipped files in front of a real server: the client's address arrives over TCP,
 * TLS and WebSocket, what a client claims about itself does not, and messages and files pass.
 */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { afterAll, beforeAll, describe, expect, onTestFailed, test, vi } from 'vitest'
import { writeCertificate } from '../../services/api/testing/certificate.ts'
import { findFreePort } from '../harness/ports.ts'
import { startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'
import { CAPPED, type Door, knock, knockFrom, overTcp, overTls, overWss } from './door.ts'
import { headerV1, headerV2 } from './proxy-header.ts'
import { type ProxyProcess, startHaproxy, startNginx } from './proxy-process.ts'

/** Each test starts a server, and most of them a proxy. */
vi.setConfig({ testTimeout: 120_000 })

/** The proxies connect from here; clients never do. */
const PROXY = '127.0.0.1'
const CLIENT = '127.0.0.20'
const STRANGER = '127.0.0.41'
/** Nothing listens there: a broker that is down. */
const NOBODY = '127.0.0.250'

let folder: string
let cert: { certFile: string; keyFile: string; bundle: string }
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'wochat-proxies-'))
  const files = await writeCertificate(folder)
  const bundle = join(folder, 'bundle.pem')
  copyFileSync(files.certFile, bundle)
  appendFileSync(bundle, readFileSync(files.keyFile))
  cert = { ...files, bundle }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

type Ports = { mqtt: number; mqtts: number; https: number; http: number }

async function freePorts(): Promise<Ports> {
  const port = findFreePort
  return { mqtt: await port(), mqtts: await port(), https: await port(), http: await port() }
}

const DIRECT = { WOCHAT_TRUSTED_PROXIES: PROXY, WOCHAT_CONTACTS_REQUIRED: 'false' }

/** A server whose TLS ends at the proxy. */
const plainServer = () => startServer({ env: { ...CAPPED, ...DIRECT, WOCHAT_PROXY_PROTOCOL: 'mqtt' } })

/** A server that has the certificate itself. */
async function tlsServer(): Promise<{ server: TestServer; mqttsPort: number }> {
  const mqttsPort = await findFreePort()
  const server = await startServer({
    env: {
      ...CAPPED,
      ...DIRECT,
      WOCHAT_PROXY_PROTOCOL: 'required',
      WOCHAT_TLS_CERT_FILE: cert.certFile,
      WOCHAT_TLS_KEY_FILE: cert.keyFile,
      WOCHAT_MQTT_TLS_PORT: String(mqttsPort),
    },
  })
  return { server, mqttsPort }
}

function haproxyVariables(ports: Ports, node: Record<string, number>): Record<string, string> {
  const variables = {
    WOCHAT_BIND: '127.0.0.1',
    WOCHAT_PROXY_CONNECTIONS: 1000,
    WOCHAT_PORT_MQTT: ports.mqtt,
    WOCHAT_PORT_MQTTS: ports.mqtts,
    WOCHAT_PORT_HTTPS: ports.https,
    WOCHAT_PORT_HTTP: ports.http,
    WOCHAT_CERTIFICATE: cert.bundle,
    WOCHAT_BROKER_1: '127.0.0.1',
    WOCHAT_BROKER_2: NOBODY,
    WOCHAT_BROKER_3: NOBODY,
    WOCHAT_API_1: '127.0.0.1',
    ...node,
  }
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)]))
}

const nodeLines = (from: number, to: number) =>
  ['broker-1', 'broker-2', 'broker-3'].map((name) => [`${name}:${from}`, `127.0.0.1:${to}`] as const)

/** HAProxy takes a server for one that is there until its checks say otherwise. */
async function untilAbsentAreDown(proxy: ProxyProcess, backends: readonly string[]): Promise<void> {
  const lines = backends.flatMap((name) => [`${name}/broker-2 is DOWN`, `${name}/broker-3 is DOWN`])
  await until(() => lines.every((line) => proxy.log.text.includes(line)), 'the absent brokers to be down')
}

function showLogs(server: TestServer, proxy: ProxyProcess): void {
  onTestFailed(() => console.error(`server:\n${server.shownLog()}\nproxy:\n${proxy.log.text}`))
}

let nextClient = 0
/** An address of 127.0.1.0/24 that no CONNECT was counted for yet. */
const freshClient = () => `127.0.1.${++nextClient}`

/** Clients are counted apart, and each alone, whatever it says about itself. */
async function expectClientsAddress(door: Door, port: number): Promise<void> {
  const clients = [freshClient(), freshClient(), freshClient(), freshClient()]
  expect(await knockFrom(door, { port }, clients)).toEqual(clients.map(() => 'counted'))
  const answers = await until(async () => {
    const from = freshClient()
    const claims = clients.map((invented) => ({ port, from, headers: { 'x-forwarded-for': invented } }))
    const found = await Promise.all(claims.map((claim) => knock(door, claim)))
    return found.includes('too many') && found
  }, 'one client to be counted as one')
  expect(answers).not.toContain('closed')
}

/** alice over TLS writes to bob over WebSocket, both by the proxy. */
async function expectMessagePasses(server: TestServer, ports: Ports): Promise<void> {
  const login = (uid: string) => ({
    clientId: `${uid}/phone`,
    username: uid,
    password: server.token(uid, 'phone'),
    ca: readFileSync(cert.certFile),
    reconnectPeriod: 0,
  })
  // Both come from 127.0.0.1, where one CONNECT a second is let in.
  const connectInTime = (url: string, uid: string) =>
    until(() => connectAsync(url, login(uid), false).catch(() => null), `${uid} to be let in`)
  const bob = await connectInTime(`wss://127.0.0.1:${ports.https}/mqtt`, 'bob')
  const received: string[] = []
  bob.on('message', (_, payload) => received.push(JSON.parse(payload.toString()).body.text))
  await bob.subscribeAsync('u/bob/inbox', { qos: 1 })
  const alice = await connectInTime(`mqtts://127.0.0.1:${ports.mqtts}`, 'alice')
  await alice.publishAsync('u/alice/send', '{"to":"bob","text":"through the proxy"}', { qos: 1 })
  await until(() => received.length > 0, 'the message')
  expect(received).toEqual(['through the proxy'])
  await Promise.all([alice.endAsync(), bob.endAsync()])
}

/** A part of a file is larger than any message. */
async function expectUploadPasses(server: TestServer, ports: Ports): Promise<void> {
  const bytes = randomBytes(1024 * 1024)
  const token = server.token('alice', null)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const { id } = await server.http<{ id: string }>('media.create', { bytes: bytes.length, sha256 }, token)
  const put = request({
    ...{ host: '127.0.0.1', port: ports.https, path: `/v1/media/${id}/parts/1`, method: 'PUT' },
    ...{ ca: readFileSync(cert.certFile), headers: { authorization: `Bearer ${token}` } },
  })
  put.end(bytes)
  const [answer] = (await once(put, 'response')) as [IncomingMessage]
  answer.resume()
  expect(answer.statusCode).toBe(200)
}

/** A header that a client writes itself comes after the proxy's, where MQTT begins. */
async function expectOwnHeaderRefused(port: number): Promise<void> {
  for (const before of [headerV1('203.0.113.7'), headerV2('203.0.113.7')]) {
    expect(await knock(overTcp, { port, from: CLIENT, before })).toBe('closed')
  }
}

/** Who goes around the proxy is closed, whatever it claims. */
async function expectStrangerRefused(server: TestServer, door: Door, port: number): Promise<void> {
  const refused = async () =>
    (await server.metrics()).sum('wochat_proxy_refusals_total', { reason: 'untrusted' })
  const before = await refused()
  expect(await knock(door, { port, from: STRANGER, before: headerV2('203.0.113.7') })).toBe('closed')
  expect(await knock(door, { port, from: STRANGER, before: headerV1('203.0.113.7') })).toBe('closed')
  expect(await knock(door, { port, from: STRANGER })).toBe('closed')
  expect(await refused()).toBe(before + 3)
}

describe('HAProxy', () => {
  test('haproxy.cfg: TLS ends at the proxy', async () => {
    const ports = await freePorts()
    await using server = await plainServer()
    const variables = haproxyVariables(ports, {
      WOCHAT_NODE_MQTT: server.mqttPort,
      WOCHAT_NODE_HTTP: server.httpPort,
      WOCHAT_NODE_ADMIN: server.adminPort,
    })
    await using proxy = await startHaproxy('haproxy.cfg', variables, Object.values(ports))
    showLogs(server, proxy)
    await untilAbsentAreDown(proxy, ['brokers_mqtt', 'brokers_websocket'])
    await expectClientsAddress(overTcp, ports.mqtt)
    await expectClientsAddress(overTls, ports.mqtts)
    await expectClientsAddress(overWss, ports.https)
    await expectMessagePasses(server, ports)
    await expectUploadPasses(server, ports)
    await expectOwnHeaderRefused(ports.mqtt)
    await expectStrangerRefused(server, overTcp, server.mqttPort)
    const redirect = await fetch(`http://127.0.0.1:${ports.http}/v1/x`, { redirect: 'manual' })
    expect([redirect.status, redirect.headers.get('location')]).toEqual([
      308,
      `https://127.0.0.1:${ports.http}/v1/x`,
    ])
  })

  test('passthrough.cfg: TLS ends at the nodes', async () => {
    const ports = await freePorts()
    const { server, mqttsPort } = await tlsServer()
    await using _ = server
    const variables = haproxyVariables(ports, {
      WOCHAT_NODE_MQTTS: mqttsPort,
      WOCHAT_NODE_HTTPS: server.httpPort,
      WOCHAT_NODE_ADMIN: server.adminPort,
    })
    await using proxy = await startHaproxy('passthrough.cfg', variables, [ports.mqtts, ports.https])
    showLogs(server, proxy)
    await untilAbsentAreDown(proxy, ['nodes_mqtts', 'nodes_https'])
    await expectClientsAddress(overTls, ports.mqtts)
    await expectClientsAddress(overWss, ports.https)
    await expectMessagePasses(server, ports)
    await expectStrangerRefused(server, overTls, mqttsPort)
    await expectStrangerRefused(server, overWss, server.httpPort)
  })

  test('a node that is not ready gets no new connections', async () => {
    const ports = await freePorts()
    const server = await plainServer()
    await using _ = server
    const variables = haproxyVariables(ports, {
      WOCHAT_NODE_MQTT: server.mqttPort,
      WOCHAT_NODE_HTTP: server.httpPort,
      // A port on which nobody says that the node is ready.
      WOCHAT_NODE_ADMIN: await findFreePort(),
    })
    await using proxy = await startHaproxy('haproxy.cfg', variables, Object.values(ports))
    await until(() => /brokers_mqtt has no server available/.test(proxy.log.text), 'no broker to be ready')
    expect(await knock(overTcp, { port: ports.mqtt, from: CLIENT })).toBe('closed')
  })
})

describe('nginx', () => {
  test('nginx.conf: TLS ends at the proxy', async () => {
    const ports = await freePorts()
    await using server = await plainServer()
    await using proxy = await startNginx(
      'nginx.conf',
      folder,
      [
        ...nodeLines(1883, server.mqttPort),
        ...nodeLines(8080, server.httpPort),
        ['api:8080', `127.0.0.1:${server.httpPort}`],
        ['listen 1883', `listen 127.0.0.1:${ports.mqtt}`],
        ['listen 8883', `listen 127.0.0.1:${ports.mqtts}`],
        ['listen 443', `listen 127.0.0.1:${ports.https}`],
        ['listen 80;', `listen 127.0.0.1:${ports.http};`],
        ['/etc/wochat/fullchain.pem', cert.certFile],
        ['/etc/wochat/privkey.pem', cert.keyFile],
      ],
      Object.values(ports),
    )
    showLogs(server, proxy)
    await expectClientsAddress(overTcp, ports.mqtt)
    await expectClientsAddress(overTls, ports.mqtts)
    await expectClientsAddress(overWss, ports.https)
    await expectMessagePasses(server, ports)
    await expectUploadPasses(server, ports)
    await expectOwnHeaderRefused(ports.mqtt)
    await expectStrangerRefused(server, overTcp, server.mqttPort)
    const redirect = await fetch(`http://127.0.0.1:${ports.http}/v1/x`, { redirect: 'manual' })
    expect([redirect.status, redirect.headers.get('location')]).toEqual([308, 'https://127.0.0.1/v1/x'])
  })

  test('passthrough.conf: TLS ends at the nodes', async () => {
    const ports = await freePorts()
    const { server, mqttsPort } = await tlsServer()
    await using _ = server
    await using proxy = await startNginx(
      'passthrough.conf',
      folder,
      [
        ...nodeLines(8883, mqttsPort),
        ...nodeLines(8080, server.httpPort),
        ['listen 8883', `listen 127.0.0.1:${ports.mqtts}`],
        ['listen 443', `listen 127.0.0.1:${ports.https}`],
      ],
      [ports.mqtts, ports.https],
    )
    showLogs(server, proxy)
    await expectClientsAddress(overTls, ports.mqtts)
    await expectClientsAddress(overWss, ports.https)
    await expectMessagePasses(server, ports)
  })
})
