/** A real server behind a proxy that is one socket of the test: whose address counts on which port. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { writeCertificate } from '../../services/api/testing/certificate.ts'
import { findFreePort } from '../harness/ports.ts'
import { sharedServer, startServer, type TestServer } from '../harness/server.ts'
import { until, within } from '../harness/wait.ts'
import { CAPPED, type Door, knock, overTcp, overTls, overWs, overWss } from './door.ts'
import { HEADER_LOCAL, headerV1, headerV2 } from './proxy-header.ts'

/** Each test starts a server, and most of them a proxy. */
vi.setConfig({ testTimeout: 120_000 })

const PROXY = '127.0.0.40'
const STRANGER = '127.0.0.41'
const REQUIRED = { ...CAPPED, WOCHAT_PROXY_PROTOCOL: 'required', WOCHAT_TRUSTED_PROXIES: PROXY }

let folder: string
let certificate: { certFile: string; keyFile: string }
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'wochat-proxy-'))
  certificate = await writeCertificate(folder)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Knocks three times at once for each of the addresses; the answers, sorted. */
async function knockAs(door: Door, port: number, headers: readonly Buffer[]): Promise<string[]> {
  const answers = await Promise.all(headers.map((before) => knock(door, { port, from: PROXY, before })))
  return answers.sort()
}

/** The clients are told apart, and one client's CONNECTs are counted together, though all come from the proxy. */
async function expectTheClientsAddress(door: Door, port: number): Promise<void> {
  const many = [1, 2, 3, 4, 5].map((last) => headerV2(`203.0.113.${last}`))
  await until(
    async () => (await knockAs(door, port, many)).every((answer) => answer === 'counted'),
    'clients to be counted apart',
  )
  for (const header of [headerV1, headerV2]) {
    const one = [1, 2, 3, 4].map(() => header('203.0.113.99'))
    const answers = await until(async () => {
      const found = await knockAs(door, port, one)
      return found.includes('too many') && found
    }, 'one client to be counted as one')
    expect(answers).not.toContain('closed')
  }
}

describe('with proxyProtocol=required', () => {
  const server = sharedServer({ env: REQUIRED })
  const refused = async (reason: string) =>
    (await server.metrics()).sum('wochat_proxy_refusals_total', { reason })

  test('the client of the header is counted, over TCP', () =>
    expectTheClientsAddress(overTcp, server.mqttPort))

  test('the client of the header is counted, over WebSocket', () =>
    expectTheClientsAddress(overWs, server.httpPort))

  test('a header in pieces of one byte, with the CONNECT right behind it, is read', async () => {
    const socket = await overTcp({ port: server.mqttPort, from: PROXY })
    for (const byte of headerV2('203.0.113.200')) {
      socket.write(Buffer.from([byte]))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await knock(async () => socket, { port: server.mqttPort, from: PROXY })).toBe('counted')
  })

  test('HTTP behind a header is answered, and counts login codes by the client', async () => {
    const ask = async (client: string, phone: string) => {
      const body = JSON.stringify({ phone })
      const socket = await overTcp({ port: server.httpPort, from: PROXY, before: headerV2(client) })
      socket.write(
        `POST /v1/auth.requestCode HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      )
      let answer = ''
      socket.on('data', (chunk) => {
        answer += String(chunk)
      })
      await within(once(socket, 'close'), 'the answer')
      return answer.slice(0, 'HTTP/1.1 200'.length)
    }
    expect(await ask('203.0.113.1', '+8613800000001')).toBe('HTTP/1.1 200')
  })

  test('a stranger with a header, and one without, are closed before an answer and counted', async () => {
    const before = await refused('untrusted')
    const spoofed = { from: STRANGER, before: headerV2('203.0.113.7') }
    expect(await knock(overTcp, { ...spoofed, port: server.mqttPort })).toBe('closed')
    expect(await knock(overTcp, { from: STRANGER, port: server.mqttPort })).toBe('closed')
    expect(await knock(overWs, { ...spoofed, port: server.httpPort })).toBe('closed')
    expect(await refused('untrusted')).toBe(before + 3)
    expect(server.log.text).toMatch(/"reason":"untrusted","peer":"127.0.0.41"/)
  })

  test('a trusted peer without a header, or with a broken one, is closed and counted', async () => {
    const before = await refused('bad_header')
    expect(await knock(overTcp, { from: PROXY, port: server.mqttPort })).toBe('closed')
    const broken = Buffer.from('PROXY TCP4 1.2.3.4\r\n')
    expect(await knock(overTcp, { from: PROXY, port: server.mqttPort, before: broken })).toBe('closed')
    expect(await refused('bad_header')).toBe(before + 2)
  })

  test('a header that does not come to its end in time closes the connection', async () => {
    const socket = connect({ port: server.mqttPort, host: '127.0.0.1', localAddress: PROXY })
    await once(socket, 'connect')
    socket.write(headerV2('203.0.113.7').subarray(0, 20))
    await within(once(socket.resume(), 'close'), 'the close')
    expect(await refused('timeout')).toBe(1)
  })

  test('a client that goes away in the middle of its header leaves nothing behind', async () => {
    const socket = await overTcp({ port: server.mqttPort, from: PROXY })
    socket.write('PROXY')
    socket.destroy()
    expect(await knockAs(overTcp, server.mqttPort, [headerV1('203.0.113.50')])).toEqual(['counted'])
  })

  test("the proxy's own connection counts as the proxy's", async () => {
    await until(
      async () => (await knockAs(overTcp, server.mqttPort, Array(4).fill(HEADER_LOCAL))).includes('too many'),
      'the proxy to be counted as one',
    )
  })
})

describe('with TLS', () => {
  test('the header comes before the handshake, for MQTT and for WebSocket', async () => {
    const tlsPort = await findFreePort()
    await using server = await startServer({
      env: {
        ...REQUIRED,
        WOCHAT_TLS_CERT_FILE: certificate.certFile,
        WOCHAT_TLS_KEY_FILE: certificate.keyFile,
        WOCHAT_MQTT_TLS_PORT: String(tlsPort),
      },
    })
    await expectTheClientsAddress(overTls, tlsPort)
    await expectTheClientsAddress(overWss, server.httpPort)
    expect(await knock(overTls, { port: tlsPort, from: STRANGER, before: headerV2('203.0.113.7') })).toBe(
      'closed',
    )
    expect(await knock(overTls, { port: tlsPort, from: PROXY })).toBe('closed')
  })
})

describe('with proxyProtocol=off', () => {
  const server = sharedServer({ env: { ...CAPPED, WOCHAT_TRUSTED_PROXIES: PROXY } })

  test('a header is garbage, on both ports', async () => {
    for (const before of [headerV1('203.0.113.7'), headerV2('203.0.113.7')]) {
      expect(await knock(overTcp, { from: PROXY, port: server.mqttPort, before })).toBe('closed')
      expect(await knock(overWs, { from: PROXY, port: server.httpPort, before })).toBe('closed')
    }
  })

  test('x-forwarded-for of a trusted proxy names the client of a WebSocket', async () => {
    const from = (forwarded: string) => ({
      from: PROXY,
      port: server.httpPort,
      headers: { 'x-forwarded-for': forwarded },
    })
    const knockForwarded = (list: string[]) =>
      Promise.all(list.map((forwarded) => knock(overWs, from(forwarded))))
    await until(
      async () =>
        (await knockForwarded([1, 2, 3, 4].map((last) => `9.9.9.9, 203.0.113.${last}`))).every(
          (answer) => answer === 'counted',
        ),
      'clients to be counted apart',
    )
    await until(
      async () =>
        (await knockForwarded([1, 2, 3, 4].map((last) => `9.9.9.${last}, 203.0.113.9`))).includes('too many'),
      'one client to be counted as one, whatever it wrote itself',
    )
  })

  test('x-forwarded-for of anybody else is not believed', async () => {
    await until(async () => {
      const invented = [1, 2, 3, 4].map((last) =>
        knock(overWs, {
          from: STRANGER,
          port: server.httpPort,
          headers: { 'x-forwarded-for': `203.0.113.${last}` },
        }),
      )
      return (await Promise.all(invented)).includes('too many')
    }, 'the inventor to be counted as one')
  })
})

test('login codes are counted by the forwarded client, and by the stranger who forwards to us', async () => {
  await using server = await startServer({
    env: { WOCHAT_CODES_PER_ADDRESS_MAX: '1', WOCHAT_TRUSTED_PROXIES: '127.0.0.1' },
  })
  let phone = 8613800000000
  const ask = (forwarded: string) => statusOf(server, `+${phone++}`, forwarded)
  expect(await ask('203.0.113.1')).toBe(200)
  expect(await ask('203.0.113.2')).toBe(200)
  expect(await ask('9.9.9.9, 203.0.113.2')).toBe(429)
})

async function statusOf(server: TestServer, phone: string, forwarded: string): Promise<number> {
  const answer = await fetch(`${server.httpUrl}/v1/auth.requestCode`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': forwarded },
    body: JSON.stringify({ phone }),
  })
  await answer.arrayBuffer()
  return answer.status
}

test('proxyProtocol without trustedProxies is refused at the start', async () => {
  await expect(startServer({ env: { WOCHAT_PROXY_PROTOCOL: 'mqtt' } })).rejects.toThrow(
    /needs trustedProxies/,
  )
})
