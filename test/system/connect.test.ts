/** CONNECT: who gets in, who does not and with which code, and what ends a connection (design: sections 3 and 11). */
import { describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { TestIssuer } from '../harness/issuer.ts'
import { befriend, logIn, newFriends, newPhone, newUid } from '../harness/people.ts'
import { type ConnectInput, RawClient, type Version } from '../harness/raw-client.ts'
import { sharedServer, startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer({ env: { WOCHAT_CONNECT_TIMEOUT_MS: '1500' } })

const BAD_TOKEN = { 4: 4, 5: 0x86 } as const
const NOT_ALLOWED = { 4: 5, 5: 0x87 } as const
const BAD_CLIENT_ID = { 4: 2, 5: 0x85 } as const
const BOTH_VERSIONS = [4, 5] as const

async function connackCode(version: Version, input: ConnectInput): Promise<number> {
  using client = await RawClient.open({ port: server.mqttPort, version })
  const { code } = await client.connect(input)
  if (code !== 0) await client.untilClosed()
  return code
}

function unsigned(claims: Record<string, unknown>, header: Record<string, unknown>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part(header)}.${part(claims)}.`
}

describe.each(BOTH_VERSIONS)('MQTT version %i', (version) => {
  const uid = newUid('carol')
  const good = (): ConnectInput => ({
    clientId: `${uid}/phone`,
    username: uid,
    password: server.token(uid, 'phone'),
  })

  test('a valid token is accepted', async () => {
    expect(await connackCode(version, good())).toBe(0)
  })

  test('a token that is bound to no device opens any device of its user', async () => {
    expect(await connackCode(version, { ...good(), password: server.token(uid, null) })).toBe(0)
  })

  const badTokens: [string, () => string | undefined][] = [
    ['missing', () => undefined],
    ['empty', () => ''],
    ['not a JWT', () => 'letmein'],
    ['expired', () => server.token(uid, 'phone', { ttlMs: -60_000 })],
    ['not valid yet', () => server.token(uid, 'phone', { claims: { nbf: Date.now() / 1000 + 3600 } })],
    ['for another audience', () => server.token(uid, 'phone', { audience: 'somebody-else' })],
    ['of an unknown issuer', () => server.token(uid, 'phone', { issuer: 'https://unknown.example' })],
    ['signed by another key under the same key id', () => new TestIssuer().token(uid, 'phone')],
    ['without an end', () => server.token(uid, 'phone', { claims: { exp: undefined } })],
    ['without a subject', () => server.token(uid, 'phone', { claims: { sub: undefined } })],
    ['with its payload changed', () => changePayload(server.token(uid, 'phone', { ttlMs: -60_000 }))],
    [
      'unsigned, with algorithm none',
      () => unsigned({ sub: uid, iss: 'wochat', aud: 'wochat', exp: 9e9 }, { alg: 'none' }),
    ],
  ]
  test.each(badTokens)('a token that is %s is refused as a bad login', async (_name, token) => {
    const { password: _, ...rest } = good()
    const password = token()
    expect(await connackCode(version, { ...rest, ...(password !== undefined && { password }) })).toBe(
      BAD_TOKEN[version],
    )
  })

  test("somebody else's token is refused as not allowed", async () => {
    const password = server.token(newUid('mallory'), null)
    expect(await connackCode(version, { ...good(), password })).toBe(NOT_ALLOWED[version])
  })

  test('a user name that is not the one of the token is refused as not allowed', async () => {
    expect(await connackCode(version, { ...good(), username: newUid('mallory') })).toBe(NOT_ALLOWED[version])
  })

  test('a token bound to another device is refused as not allowed', async () => {
    expect(await connackCode(version, { ...good(), password: server.token(uid, 'tablet') })).toBe(
      NOT_ALLOWED[version],
    )
  })

  const badClientIds = [
    '',
    'carol',
    `${uid}/`,
    '/phone',
    `${uid}/phone/2`,
    `${uid}/my phone`,
    `${uid}/+`,
    `${uid}/ünïcode`,
    `${uid}/${'x'.repeat(65)}`,
    '__proto__/phone',
    'constructor',
    '__proto__',
    `${uid}/constructor`,
    `${uid}/__proto__`,
  ]
  test.each(badClientIds)('the client id "%s" is refused by its form', async (clientId) => {
    const password = server.token(uid, null)
    expect(await connackCode(version, { ...good(), clientId, password })).toBe(BAD_CLIENT_ID[version])
  })

  test('a second CONNECT on a connection closes it', async () => {
    using client = await RawClient.open({ port: server.mqttPort, version })
    expect((await client.connect(good())).code).toBe(0)
    client.send(client.connectPacket(good()))
    await client.untilClosed()
    expect(client.received('connack').length).toBe(1)
    if (version === 5) expect(client.received('disconnect')[0]?.reasonCode).toBe(0x82)
  })

  test('a silent client is cut after one and a half times its keep alive, a pinging one is not', async () => {
    using silent = await RawClient.open({ port: server.mqttPort, version })
    using pinging = await RawClient.open({ port: server.mqttPort, version })
    await silent.connect({ ...good(), keepalive: 1 })
    const since = performance.now()
    const other = newUid('pinger')
    await pinging.connect({
      clientId: `${other}/phone`,
      username: other,
      password: server.token(other, 'phone'),
      keepalive: 1,
    })
    const pings = setInterval(() => pinging.send({ cmd: 'pingreq' }), 300)
    try {
      await silent.untilClosed()
    } finally {
      clearInterval(pings)
    }
    expect(performance.now() - since).toBeGreaterThan(1400)
    expect(pinging.closed).toBe(false)
    if (version === 5) expect(silent.received('disconnect')[0]?.reasonCode).toBe(0x8d)
  })

  test('a connection ends with the token of a foreign issuer', async () => {
    const short = newUid('short')
    using client = await RawClient.open({ port: server.mqttPort, version })
    const { code } = await client.connect({
      clientId: `${short}/phone`,
      username: short,
      password: server.token(short, 'phone', { ttlMs: 3000 }),
    })
    expect(code).toBe(0)
    await client.untilClosed(6000)
  })

  test('a connection of the same client id takes the session over and the old one is closed', async () => {
    const { alice, bob } = await newFriends(server)
    using old = await Device.connect(server, bob, 'phone', { version, clean: false })
    await old.untilSynced()
    using taker = await Device.connect(server, bob, 'phone', { version, clean: false })
    await old.client.untilClosed()
    expect(taker.sessionPresent).toBe(true)
    if (version === 5) expect(old.client.received('disconnect')[0]?.reasonCode).toBe(0x8e)
    using sender = await Device.connect(server, alice, 'phone')
    await sender.send({ id: 'm1', to: bob, text: 'to the new connection' })
    await taker.untilText('to the new connection')
    expect(old.texts).toEqual([])
  })

  test('another device of the same user does not take over', async () => {
    using phone = await Device.connect(server, uid, 'phone', { version })
    using tablet = await Device.connect(server, uid, 'tablet', { version })
    await phone.client.ping()
    await tablet.client.ping()
  })
})

function changePayload(token: string): string {
  const [header, payload, signature] = token.split('.') as [string, string, string]
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
  const changed = Buffer.from(JSON.stringify({ ...claims, exp: 9_000_000_000 })).toString('base64url')
  return `${header}.${changed}.${signature}`
}

test('MQTT 5 is told the keep alive and the limits that hold for it', async () => {
  const uid = newUid('dave')
  using client = await RawClient.open({ port: server.mqttPort, version: 5 })
  const ack = await client.connect({
    clientId: `${uid}/phone`,
    username: uid,
    password: server.token(uid, 'phone'),
    keepalive: 0,
  })
  expect(ack.properties?.serverKeepAlive).toBe(1800)
  expect(ack.properties?.maximumPacketSize).toBe(256 * 1024)
  expect(ack.properties?.receiveMaximum ?? 65_535).toBeGreaterThan(0)
})

describe('logins that end', () => {
  test.each(BOTH_VERSIONS)(
    'logout cuts the live connection within a second (version %i)',
    async (version) => {
      const login = await logIn(server, { phone: newPhone(), deviceId: 'phone' })
      using device = await Device.connect(server, login.uid, 'phone', { version, token: login.accessToken })
      await server.http('auth.logout', {}, login.accessToken)
      await device.client.untilClosed(1000)
      expect(
        await connackCode(version, {
          clientId: `${login.uid}/phone`,
          username: login.uid,
          password: login.accessToken,
        }),
      ).toBe(NOT_ALLOWED[version])
    },
  )

  test.each(BOTH_VERSIONS)('revoke cuts that device only, for good (version %i)', async (version) => {
    const phone = newPhone()
    const lost = await logIn(server, { phone, deviceId: 'lost' })
    const kept = await logIn(server, { phone, deviceId: 'kept' })
    expect(kept.uid).toBe(lost.uid)
    using lostDevice = await Device.connect(server, lost.uid, 'lost', { version, token: lost.accessToken })
    using keptDevice = await Device.connect(server, kept.uid, 'kept', { version, token: kept.accessToken })

    await server.http('auth.revoke', { deviceId: 'lost' }, kept.accessToken)

    await lostDevice.client.untilClosed(1000)
    await keptDevice.client.ping()
    const again = { clientId: `${lost.uid}/lost`, username: lost.uid, password: lost.accessToken }
    expect(await connackCode(version, again)).toBe(NOT_ALLOWED[version])
    await expect(server.http('auth.devices', {}, lost.accessToken)).rejects.toMatchObject({ status: 401 })
  })

  test('a revoked device comes back by a new login', async () => {
    const phone = newPhone()
    const first = await logIn(server, { phone, deviceId: 'phone' })
    const other = await logIn(server, { phone, deviceId: 'laptop' })
    await server.http('auth.revoke', { deviceId: 'phone' }, other.accessToken)
    // A token carries whole seconds: the new one must not seem to be of the second of the revocation.
    await until(() => Date.now() % 1000 < 100, 'the next second')
    const again = await logIn(server, { phone, deviceId: 'phone' })
    expect(again.uid).toBe(first.uid)
    using device = await Device.connect(server, again.uid, 'phone', { token: again.accessToken })
    await device.client.ping()
  })
})

describe('a CONNECT that never ends', () => {
  /** A CONNECT's start that announces `total` bytes in all and never completes. */
  function unfinished(total: number): Buffer {
    const head = [0x10]
    for (let rest = total; ; ) {
      const byte = rest % 128
      rest = Math.floor(rest / 128)
      head.push(rest > 0 ? byte | 0x80 : byte)
      if (rest === 0) break
    }
    return Buffer.concat([Buffer.from(head), Buffer.from('\0\x04MQTT\x04\x02\0\x3c\xff\xff', 'latin1')])
  }

  test.each([100, 1000, 16_000])('of %i announced bytes is cut when its time is over', async (total) => {
    using client = await RawClient.open({ port: server.mqttPort })
    client.write(unfinished(total))
    await client.untilClosed(8000)
  })

  test.each([17_000, 300_000, 10_000_000, 268_435_455])(
    'of %i announced bytes is cut as soon as they are announced',
    async (total) => {
      using client = await RawClient.open({ port: server.mqttPort })
      client.write(unfinished(total))
      await client.untilClosed(1000)
    },
  )

  test('sent drop by drop is cut when its time is over, although bytes keep coming', async () => {
    using client = await RawClient.open({ port: server.mqttPort })
    client.write(unfinished(10_000))
    const drops = setInterval(() => client.write(Buffer.from('x')), 50)
    try {
      await client.untilClosed(8000)
    } finally {
      clearInterval(drops)
    }
  })

  test('a socket that says nothing is cut when its time is over', async () => {
    using client = await RawClient.open({ port: server.mqttPort })
    await client.untilClosed(8000)
  })

  test('two hundred of them at once do not hold memory or the others', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    using receiver = await Device.connect(server, bob, 'phone')
    const body = Buffer.alloc(1024 * 1024, 'x')
    const flood = async (text: string) => {
      const clients = await Promise.all(
        Array.from({ length: 200 }, () => RawClient.open({ port: server.mqttPort })),
      )
      for (const client of clients) client.write(Buffer.concat([unfinished(200_000_000), body]))
      await sender.send({ id: text, to: bob, text })
      await receiver.untilText(text)
      for (const client of clients) await client.untilClosed(8000)
      return (await server.metrics()).sum('process_resident_memory_bytes')
    }
    // The first one also grows the heap to its working size; what is held of each shows from one to the next.
    const first = await flood('still here')
    const second = await flood('and again')
    expect(first).toBeGreaterThan(0)
    expect(second - first).toBeLessThan(100 * 1024 * 1024 * server.nodes.length)
  })
})

describe('overload', () => {
  const BUSY_V5 = [0x88, 0x89, 0x97, 0x9f]

  /** The code of a CONNECT, or `closed` when the socket was not even taken. */
  async function tryConnect(on: TestServer, version: Version, id: string): Promise<number | 'closed'> {
    const client = await RawClient.open({ port: on.mqttPort, version }).catch(() => null)
    if (client === null) return 'closed'
    try {
      const { code } = await client.connect({
        clientId: `alice/${id}`,
        username: 'alice',
        password: on.token('alice', null),
      })
      return code
    } catch {
      return 'closed'
    } finally {
      client.cut()
    }
  }

  test.each(BOTH_VERSIONS)('connections above the limit are not taken (version %i)', async (version) => {
    await using small = await startServer({ env: { WOCHAT_CONNECTIONS_MAX: '2' }, alone: true })
    using first = await Device.connect(small, 'alice', 'a', { version })
    using second = await Device.connect(small, 'alice', 'b', { version })
    const outcome = await tryConnect(small, version, 'c')
    expect(version === 4 ? [3, 'closed'] : [...BUSY_V5, 'closed']).toContain(outcome)
    await first.client.ping()
    await second.leave()
    await until(async () => (await tryConnect(small, version, 'c')) === 0, 'room for one more')
  })

  test.each(BOTH_VERSIONS)(
    'a flood of CONNECTs from one address is refused as busy above the limit (version %i)',
    async (version) => {
      await using small = await startServer({ env: { WOCHAT_CONNECTS_PER_ADDRESS_MAX: '10' }, alone: true })
      await befriend(small, 'alice', 'bob')
      using alice = await Device.connect(small, 'alice', 'phone')
      using bob = await Device.connect(small, 'bob', 'phone')
      const ids = Array.from({ length: 60 }, (_, i) => `d${i}`)
      const outcomes = await Promise.all(ids.map((id) => tryConnect(small, version, id)))
      const refused = outcomes.filter((outcome) => outcome !== 0)
      expect(refused.length).toBeGreaterThan(20)
      const busy: readonly unknown[] = version === 4 ? [3] : BUSY_V5
      expect(refused.filter((outcome) => !busy.includes(outcome))).toEqual([])
      await alice.send({ id: 'm1', to: 'bob', text: 'unharmed' })
      await bob.untilText('unharmed')
    },
  )
})
