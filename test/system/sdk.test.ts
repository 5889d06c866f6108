/** The SDK against a real server: what it promises to applications. */
import { describe, expect, test } from 'vitest'
import { type Client, type ConnectOptions, connect } from '../../clients/sdk/client.ts'
import { createHttpCall } from '../../clients/sdk/http.ts'
import type { Entry, Gap } from '../../protocol/entry.ts'
import { sharedServer, startServer, type TestServer } from '../harness/server.ts'
import { until, within } from '../harness/wait.ts'

const server = sharedServer({ env: { WOCHAT_CONTACTS_REQUIRED: 'false' } })

/** A test that starts a server of its own, or starts one again. */
const SLOW_MS = 90_000

let people = 0
const newUid = (name: string): string => `${name}-${++people}`

type Device = Partial<ConnectOptions> & { at?: TestServer }

function connectAs(uid: string, { at = server, ...options }: Device = {}): Promise<Client> {
  const deviceId = options.deviceId ?? 'phone'
  return connect({
    url: `mqtt://127.0.0.1:${at.mqttPort}`,
    uid,
    deviceId,
    token: at.token(uid, deviceId),
    ...options,
  })
}

/** Entries as they are handled; the list grows until the client is closed. */
function collect(client: Client): Entry[] {
  const entries: Entry[] = []
  const read = async () => {
    for await (const entry of client.entries()) entries.push(entry)
  }
  read().catch(() => {})
  return entries
}

const texts = (entries: Entry[]) =>
  entries.filter(({ kind }) => kind === 'message').map(({ body }) => (body as { text: string }).text)

const TRANSPORTS: [string, (at: TestServer) => Partial<ConnectOptions>][] = [
  ['MQTT 5 over TCP', (at) => ({ url: `mqtt://127.0.0.1:${at.mqttPort}`, protocolVersion: 5 })],
  ['MQTT 3.1.1 over TCP', (at) => ({ url: `mqtt://127.0.0.1:${at.mqttPort}`, protocolVersion: 4 })],
  ['MQTT 5 over WebSocket', (at) => ({ url: `ws://127.0.0.1:${at.httpPort}/mqtt`, protocolVersion: 5 })],
]

describe.each(TRANSPORTS)('over %s', (_, transport) => {
  test('a send resolves with its place in the log, and the receiver gets it once and in order', async () => {
    const [alice, bob] = [newUid('alice'), newUid('bob')]
    await using receiver = await connectAs(bob, transport(server))
    await using sender = await connectAs(alice, transport(server))
    const received = collect(receiver)
    const sent = await Promise.all(Array.from({ length: 200 }, (_, i) => sender.send(bob, `m${i}`)))
    expect(sent.map(({ seq }) => seq)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1))
    await until(
      () => received.length >= 200,
      () => `200 entries, ${received.length} are there`,
    )
    expect(texts(received)).toEqual(Array.from({ length: 200 }, (_, i) => `m${i}`))
  })

  test('a refusal has its code, over sends and calls alike', async () => {
    await using client = await connectAs(newUid('alice'), transport(server))
    await expect(client.send('nobody.here', 'hello')).rejects.toMatchObject({
      name: 'WochatError',
      code: 'unknown_user',
    })
    await expect(
      client.call('groups.create', { name: 'team', members: ['nobody.here'] }),
    ).rejects.toMatchObject({
      code: 'users_refused',
      details: { users: [{ uid: 'nobody.here', code: 'unknown_user' }] },
    })
  })

  test('a bad token is refused as unauthenticated', async () => {
    await expect(
      connectAs(newUid('alice'), { ...transport(server), token: 'no.token.atall' }),
    ).rejects.toMatchObject({
      name: 'WochatError',
      code: 'unauthenticated',
    })
  })
})

describe('sends', () => {
  test('under one id a message is stored once, and another content under it is refused', async () => {
    const [alice, bob] = [newUid('alice'), newUid('bob')]
    await using receiver = await connectAs(bob)
    await using sender = await connectAs(alice)
    const received = collect(receiver)
    const first = await sender.send(bob, 'once', { id: 'id-1' })
    expect(await sender.send(bob, 'once', { id: 'id-1' })).toEqual(first)
    await expect(sender.send(bob, 'twice', { id: 'id-1' })).rejects.toMatchObject({ code: 'id_conflict' })
    await sender.send(bob, { type: 'custom:photo', body: { url: 'x' } })
    await until(() => received.length >= 2, 'the two entries')
    expect(received.map(({ type }) => type)).toEqual(['text', 'custom:photo'])
  })

  test(
    'sends that a kill of the server interrupts are stored once each, in their order',
    async () => {
      await using own = await startServer({ env: { WOCHAT_CONTACTS_REQUIRED: 'false' } })
      const bob = newUid('bob')
      await using receiver = await connectAs(bob, { at: own })
      await using sender = await connectAs(newUid('alice'), { at: own })
      const received = collect(receiver)
      const sends = Array.from({ length: 1000 }, (_, i) => sender.send(bob, `m${i}`))
      await sends[100]
      await own.kill9()
      await own.start()
      const seqs = (await Promise.all(sends)).map(({ seq }) => seq)
      expect(new Set(seqs).size).toBe(1000)
      expect(Math.max(...seqs)).toBe(1000)
      await until(
        () => received.length >= 1000,
        () => `1000 entries, ${received.length} are there`,
      )
      expect(received.map(({ seq }) => seq)).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1))
    },
    SLOW_MS,
  )

  test(
    'a server that is rate limiting slows a burst down and loses none of it',
    async () => {
      await using own = await startServer({
        env: { WOCHAT_CONTACTS_REQUIRED: 'false', WOCHAT_SENDS_PER_SECOND_MAX: '50' },
      })
      const bob = newUid('bob')
      await using _receiver = await connectAs(bob, { at: own })
      await using sender = await connectAs(newUid('alice'), { at: own })
      const sent = await Promise.all(Array.from({ length: 150 }, (_, i) => sender.send(bob, `m${i}`)))
      expect(sent.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 150 }, (_, i) => i + 1),
      )
    },
    SLOW_MS,
  )
})

describe('the inbox', () => {
  test('what came while a device was away is received between the two ends of the sync', async () => {
    const [alice, bob] = [newUid('alice'), newUid('bob')]
    await (await connectAs(bob)).close()
    await using sender = await connectAs(alice)
    for (let i = 0; i < 50; i++) await sender.send(bob, `m${i}`)
    const phases: string[] = []
    await using receiver = await connectAs(bob, {
      on: { sync: (sync) => phases.push(sync.phase === 'start' ? `start ${sync.pending}` : 'done') },
    })
    const received = collect(receiver)
    await until(() => phases.includes('done') && received.length >= 50, 'the end of the sync')
    expect(phases[0]).toBe('start 50')
    expect(texts(received)).toEqual(Array.from({ length: 50 }, (_, i) => `m${i}`))
  })

  test('an entry that was not handled comes again at the next connect, one that was does not', async () => {
    const [alice, bob] = [newUid('alice'), newUid('bob')]
    const first = await connectAs(bob)
    await using sender = await connectAs(alice)
    for (const text of ['handled', 'in hand', 'waiting']) await sender.send(bob, text)
    const entries = first.entries()
    expect(texts([(await entries.next()).value as Entry])).toEqual(['handled'])
    expect(texts([(await entries.next()).value as Entry])).toEqual(['in hand'])
    await first.close()
    await using second = await connectAs(bob)
    const received = collect(second)
    await until(() => received.length >= 2, 'the two entries')
    expect(texts(received)).toEqual(['in hand', 'waiting'])
  })

  test('a reader may send from within its loop', async () => {
    const [alice, echo] = [newUid('alice'), newUid('echo')]
    await using robot = await connectAs(echo)
    await using sender = await connectAs(alice)
    const received = collect(sender)
    const answer = async () => {
      for await (const entry of robot.entries()) await robot.send(entry.from, `echo of ${entry.seq}`)
    }
    const answering = answer()
    for (let i = 0; i < 40; i++) await sender.send(echo, 'hello')
    await until(
      () => received.length >= 40,
      () => `40 echoes, ${received.length} are there`,
    )
    await robot.close()
    await answering
  })

  // The cursor of a group that was joined while live was written without its epoch, and the next connect reported it as restored.
  test('a group that was joined while the device was live has no gap at the next connect', async () => {
    const [alice, bob] = [newUid('alice'), newUid('bob')]
    const first = await connectAs(bob)
    const received = collect(first)
    await using owner = await connectAs(alice)
    const { id } = await owner.call('groups.create', { name: 'team', members: [bob] })
    await owner.send(id, 'welcome')
    await until(() => texts(received).includes('welcome'), 'the welcome')
    await first.close()
    const gaps: Gap[] = []
    let isDone = false
    await using second = await connectAs(bob, {
      on: { gap: (gap) => gaps.push(gap), sync: ({ phase }) => (isDone ||= phase === 'done') },
    })
    const again = collect(second)
    await owner.send(id, 'more')
    await until(() => isDone && texts(again).includes('more'), 'the next message')
    expect(gaps).toEqual([])
    expect(texts(again)).toEqual(['more'])
  })

  test('a read pointer of another device is told live', async () => {
    const [alice, bob] = [newUid('alice'), newUid('bob')]
    const live: unknown[] = []
    await using phone = await connectAs(bob, { on: { live: (event) => live.push(event) } })
    await using sender = await connectAs(alice)
    const { log, seq } = await sender.send(bob, 'hello')
    await phone.call('conversations.read', { log, seq })
    await until(() => live.length > 0, 'the read pointer')
    expect(live).toContainEqual({ kind: 'read', log, seq })
  })
})

describe('the end of a connection', () => {
  test('the device that is taken over is told so and does not fight', async () => {
    const bob = newUid('bob')
    let failure: Error | null = null
    await using first = await connectAs(bob, {
      on: {
        failed: (error) => {
          failure = error
        },
      },
    })
    const reading = first.entries().next()
    reading.catch(() => {})
    await using _second = await connectAs(bob)
    await until(() => failure !== null, 'the first device to be told')
    expect(failure).toMatchObject({ code: 'taken_over' })
    await expect(reading).rejects.toMatchObject({ code: 'taken_over' })
    await expect(first.send(bob, 'note')).rejects.toMatchObject({ code: 'closed' })
  })

  test(
    'a token is asked for at every connect',
    async () => {
      await using own = await startServer()
      const alice = newUid('alice')
      let tokens = 0
      let connects = 0
      await using _client = await connectAs(alice, {
        at: own,
        token: async () => own.token(alice, `phone`, { claims: { jti: String(++tokens) } }),
        on: { connected: () => connects++ },
      })
      await own.restart()
      await until(() => connects === 2, 'the second connection', SLOW_MS)
      expect(tokens).toBeGreaterThanOrEqual(2)
    },
    SLOW_MS,
  )

  test('closing ends the loop of the reader and fails what has no answer', async () => {
    const client = await connectAs(newUid('alice'))
    const reading = client.entries().next()
    await client.close()
    expect(await within(reading, 'the loop to end')).toEqual({ done: true, value: undefined })
    await expect(client.send('bob', 'hello')).rejects.toMatchObject({ code: 'closed' })
  })

  test('a server that is not there is unreachable', async () => {
    const options = { uid: 'alice', deviceId: 'phone', token: 'x' }
    await expect(connect({ ...options, url: 'mqtt://127.0.0.1:1' })).rejects.toMatchObject({
      code: 'unreachable',
    })
    const call = createHttpCall({ url: 'http://127.0.0.1:1', token: null })
    await expect(call('auth.requestCode', { phone: '+8613800000001' })).rejects.toMatchObject({
      code: 'unreachable',
    })
  })
})

test('a call has the same result over HTTP and over MQTT', async () => {
  const [alice, bob] = [newUid('alice'), newUid('bob')]
  await using client = await connectAs(alice)
  await (await connectAs(bob)).close()
  await client.call('contacts.request', { uid: bob, text: 'hi' })
  const http = createHttpCall({ url: server.httpUrl, token: server.token(alice, 'phone') })
  expect(await http('contacts.list', {})).toEqual(await client.call('contacts.list', {}))
  await expect(http('contacts.accept', { uid: bob })).rejects.toMatchObject({
    name: 'WochatError',
    code: 'no_request',
  })
})
