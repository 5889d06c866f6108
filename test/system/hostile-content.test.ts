/** Hostile content in sound packets: a clear error each, nothing lost, nobody else affected. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ERRORS, type ErrorCode } from '../../protocol/errors.ts'
import { Bystanders } from '../harness/bystander.ts'
import { Device } from '../harness/device.ts'
import { postRaw } from '../harness/http.ts'
import { makeAccounts, newFriends, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()
let bystanders: Bystanders
let victim: { alice: string; bob: string }
beforeAll(async () => {
  bystanders = await Bystanders.start(server)
  victim = await newFriends(server)
})
afterEach(() => bystanders.assertUnharmed())
afterAll(() => bystanders?.stop())

const LIMIT = 64 * 1024
const invalidUtf8 = (before: string, bad: number[], after: string) =>
  Buffer.concat([Buffer.from(before), Buffer.from(bad), Buffer.from(after)])
const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`

type BadSend = [name: string, payload: (to: string) => string | Buffer, code: ErrorCode]

const BAD_SENDS: BadSend[] = [
  ['empty', () => '', 'bad_json'],
  ['not JSON', () => '{"to": "bob", ', 'bad_json'],
  ['JSON with something behind it', (to) => `{"to":"${to}","text":"x"} x`, 'bad_json'],
  ['a JSON array', (to) => `["${to}"]`, 'bad_json'],
  ['a JSON string', () => '"hello"', 'bad_json'],
  ['null', () => 'null', 'bad_json'],
  ['a number', () => '1e999', 'bad_json'],
  ['UTF-16', () => Buffer.from('{"to":"bob","text":"x"}', 'utf16le'), 'bad_json'],
  ['a lone byte 0xff in the text', (to) => invalidUtf8(`{"to":"${to}","text":"`, [0xff], '"}'), 'bad_json'],
  [
    'an overlong slash in the text',
    (to) => invalidUtf8(`{"to":"${to}","text":"`, [0xc0, 0xaf], '"}'),
    'bad_json',
  ],
  [
    'half a surrogate as UTF-8',
    (to) => invalidUtf8(`{"to":"${to}","text":"`, [0xed, 0xa0, 0x80], '"}'),
    'bad_json',
  ],
  ['without a receiver', () => '{"text":"x"}', 'bad_request'],
  ['without content', (to) => `{"to":"${to}"}`, 'bad_request'],
  ['with a number as receiver', () => '{"to":42,"text":"x"}', 'bad_request'],
  ['with an object as receiver', () => '{"to":{"$ne":null},"text":"x"}', 'bad_request'],
  ['with a receiver that is none', () => '{"to":"no spaces allowed","text":"x"}', 'bad_request'],
  ['with __proto__ as receiver', () => '{"to":"__proto__","text":"x"}', 'bad_request'],
  ['with constructor as receiver', () => '{"to":"constructor","text":"x"}', 'bad_request'],
  ['with a conversation of others', () => '{"to":"d:someone:stranger","text":"x"}', 'bad_request'],
  ['with the notice log of somebody', () => `{"to":"n:${victim.bob}","text":"x"}`, 'bad_request'],
  ['with a number as text', (to) => `{"to":"${to}","text":1}`, 'bad_request'],
  ['with text and body', (to) => `{"to":"${to}","text":"x","body":{"text":"x"}}`, 'bad_request'],
  ['with a body that is no object', (to) => `{"to":"${to}","type":"text","body":"x"}`, 'bad_request'],
  ['with a text message without text', (to) => `{"to":"${to}","type":"text","body":{}}`, 'bad_request'],
  ['with an unknown field', (to) => `{"to":"${to}","txt":"x"}`, 'bad_request'],
  ['with a __proto__ field', (to) => `{"to":"${to}","text":"x","__proto__":{"admin":true}}`, 'bad_request'],
  ['with a constructor field', (to) => `{"to":"${to}","text":"x","constructor":1}`, 'bad_request'],
  ['with an empty id', (to) => `{"id":"","to":"${to}","text":"x"}`, 'bad_request'],
  [
    'with an id of 65 characters',
    (to) => `{"id":"${'i'.repeat(65)}","to":"${to}","text":"x"}`,
    'bad_request',
  ],
  ['with a number as id', (to) => `{"id":7,"to":"${to}","text":"x"}`, 'bad_request'],
  ['with half a surrogate pair as id', (to) => `{"id":"\\ud800","to":"${to}","text":"x"}`, 'bad_request'],
  ['with a type of capitals', (to) => `{"to":"${to}","type":"TEXT","body":{"text":"x"}}`, 'bad_request'],
  ['nested too deep', (to) => `{"to":"${to}","type":"x","body":${deep(17)}}`, 'too_deep'],
  ['nested 10,000 levels', (to) => `{"to":"${to}","type":"x","body":${deep(10_000)}}`, 'too_deep'],
  ['one byte too large', (to) => sized(to, LIMIT + 1), 'too_large'],
  ['three times too large', (to) => sized(to, 3 * LIMIT), 'too_large'],
]

/** A sound send of exactly this many bytes. */
/** A message of the app's own type, because a text has a bound of its own. */
function sized(to: string, bytes: number): string {
  const send = (text: string) => JSON.stringify({ to, type: 'custom:large', body: { text } })
  return send('x'.repeat(bytes - send('').length))
}

describe('a send', () => {
  test.each(BAD_SENDS)('%s is answered on 3.1.1 and the connection stays', async (_, payload, code) => {
    using device = await Device.connect(server, victim.alice, 'bad4')
    const ack = await device.client.publishAcked({
      topic: `u/${victim.alice}/send`,
      payload: payload(victim.bob),
    })
    expect(ack.messageId).toBeGreaterThan(0)
    expect(await device.reply((reply) => reply.kind === 'refused')).toMatchObject({ code })
    await device.client.ping()
  })

  test.each(BAD_SENDS)('%s has its reason on MQTT 5 and the connection stays', async (_, payload, code) => {
    using device = await Device.connect(server, victim.alice, 'bad5', { version: 5 })
    const ack = await device.client.publishAcked({
      topic: `u/${victim.alice}/send`,
      payload: payload(victim.bob),
    })
    expect(ack.reasonCode).toBe(ERRORS[code].reason)
    expect(ack.properties?.reasonString).toContain(code)
    await device.client.ping()
  })

  test('none of them was stored', async () => {
    const log = [victim.alice, victim.bob].sort().join(':')
    const stored = server.http('messages.page', { log: `d:${log}` }, server.token(victim.bob, null))
    await expect(stored).rejects.toMatchObject({ code: 'unknown_log' })
  })

  test('of exactly the limit is accepted and delivered', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    using receiver = await Device.connect(server, bob, 'phone')
    sender.publishSend(sized(bob, LIMIT))
    await sender.reply((reply) => reply.kind === 'accepted')
    await receiver.untilMessages(1)
    expect(receiver.texts[0]?.length).toBeGreaterThan(LIMIT - 100)
  })

  test('above the packet limit closes the connection, on MQTT 5 with the reason', async () => {
    for (const version of [4, 5] as const) {
      using device = await Device.connect(server, victim.alice, 'huge', { version })
      device.client.publish({ topic: `u/${victim.alice}/send`, payload: Buffer.alloc(300 * 1024, 0x20) })
      await device.client.untilClosed()
      if (version === 5) expect(device.client.received('disconnect')[0]?.reasonCode).toBe(0x95)
    }
  })
})

const NASTY = [
  "'; DROP TABLE entry; --",
  '" OR 1=1 --',
  "Robert'); DELETE FROM account WHERE ('1'='1",
  '%00%27 UNION SELECT refresh_hash FROM login --',
  '{{7*7}} `id` $(id)',
  '<script>alert(1)</script>',
  '__proto__',
  'constructor',
  'a\u0000b',
  '\u202egnp.exe',
  '😀'.repeat(12),
]

describe('strings that are code elsewhere are only text here', () => {
  test.each(NASTY)('%j as text, type, id and body key', async (nasty) => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    using receiver = await Device.connect(server, bob, 'phone')
    const id = nasty.slice(0, 64)
    const body = { text: nasty, [nasty]: [nasty, { [nasty]: nasty }] }
    const payload = `{"id":${JSON.stringify(id)},"to":"${bob}","type":"text","body":${JSON.stringify(body)}}`
    sender.publishSend(payload)
    await sender.reply((reply) => reply.kind === 'accepted')
    await receiver.untilMessages(1)
    const entry = receiver.messages[0]!
    expect(JSON.stringify(entry.body)).toBe(JSON.stringify(body))
    expect(entry.id).toBe(id)
    sender.publishSend(JSON.stringify({ to: bob, type: nasty, body: { text: 'x' } }))
    const second = await sender.reply(({ id, kind }) => id === undefined && kind !== 'sync')
    // Only a plain word is a type.
    if (nasty === 'constructor') expect(second.kind).toBe('accepted')
    else expect(second).toMatchObject({ kind: 'refused', code: 'bad_request' })
  })

  test.each(NASTY)('%j in every string parameter of every kind of call', async (nasty) => {
    const uid = newUid('caller')
    await makeAccounts(server, uid)
    const token = server.token(uid, 'phone')
    const calls: [string, Record<string, unknown>][] = [
      ['contacts.request', { uid: nasty }],
      ['contacts.request', { uid: victim.bob, text: nasty }],
      ['contacts.accept', { uid: nasty }],
      ['contacts.block', { uid: nasty }],
      ['contacts.remove', { uid: nasty }],
      ['groups.create', { name: nasty }],
      ['groups.create', { name: 'x', members: [nasty] }],
      ['groups.create', { name: 'x', requestId: nasty }],
      ['groups.add', { id: `g:${nasty}`, members: [uid] }],
      ['groups.members', { id: nasty, cursor: nasty }],
      ['conversations.list', { cursor: nasty }],
      ['conversations.read', { log: nasty, seq: 1 }],
      ['messages.page', { log: `d:${nasty}:${uid}` }],
      ['messages.send', { to: nasty, text: 'x' }],
      ['auth.revoke', { deviceId: nasty }],
      ['auth.refresh', { refreshToken: nasty }],
      ['auth.requestCode', { phone: nasty }],
      ['auth.login', { phone: nasty, code: nasty, device: { id: nasty, name: nasty } }],
      ['auth.login', { phone: '+8613900000000', code: nasty, uid: nasty, device: { id: 'phone' } }],
      [nasty, {}],
    ]
    for (const [operation, params] of calls) {
      const { status, body } = await postRaw(server.httpUrl, operation, JSON.stringify(params), {
        authorization: `Bearer ${token}`,
      })
      expect(status, `${operation} ${JSON.stringify(body)}`).toBeLessThan(500)
      if (status !== 200) {
        expect(body, operation).toMatchObject({
          error: { code: expect.any(String), message: expect.any(String) },
        })
      }
    }
  })
})

describe('HTTP bodies', () => {
  const bodies: [string, string | Uint8Array<ArrayBuffer>, number, ErrorCode][] = [
    ['not JSON', '{"a"', 400, 'bad_json'],
    ['an array', '[]', 400, 'bad_json'],
    ['invalid UTF-8', new Uint8Array([0x7b, 0xff, 0x7d]), 400, 'bad_json'],
    ['an unknown field', '{"surprise":1}', 400, 'bad_request'],
    ['a __proto__ field', '{"__proto__":{"x":1}}', 400, 'bad_request'],
    ['a constructor field', '{"constructor":{"prototype":{"x":1}}}', 400, 'bad_request'],
    ['nested too deep', `{"x":${deep(1000)}}`, 400, 'too_deep'],
    ['too large', JSON.stringify({ x: 'x'.repeat(2 * LIMIT) }), 413, 'too_large'],
  ]
  test.each(bodies)('%s: a clear error', async (_, body, status, code) => {
    const authorization = `Bearer ${server.token(victim.alice, null)}`
    const answer = await postRaw(server.httpUrl, 'contacts.list', body, { authorization })
    expect(answer).toMatchObject({ status, body: { error: { code } } })
  })

  test('a call without a token, or with a bad one, is unauthenticated', async () => {
    for (const headers of [{}, { authorization: 'Bearer nonsense' }, { authorization: 'Basic YTpi' }]) {
      expect(
        await postRaw(server.httpUrl, 'contacts.list', '{}', headers as Record<string, string>),
      ).toMatchObject({
        status: 401,
        body: { error: { code: 'unauthenticated' } },
      })
    }
  })

  test('an unknown operation is named as such', async () => {
    for (const name of ['no.such', '__proto__', 'constructor', 'toString', '../metrics']) {
      const authorization = `Bearer ${server.token(victim.alice, null)}`
      const { status, body } = await postRaw(server.httpUrl, name, '{}', { authorization })
      expect([status, body], name).toEqual([
        404,
        { error: { code: 'unknown_operation', message: expect.any(String) } },
      ])
    }
  })
})

describe('topics', () => {
  const FOREIGN = () => [
    `u/${victim.bob}/send`,
    `u/${victim.bob}/inbox`,
    `u/${victim.bob}/reply/phone`,
    `u/${victim.bob}/call/contacts.list`,
    `u/${victim.bob}/own/x`,
  ]
  const WRONG = [
    'send',
    'u',
    'u/',
    'u/alice',
    '/u/x/send',
    '$SYS/broker',
    '$share/g/x',
    'elsewhere',
    '__proto__',
    'constructor',
    "u/'; DROP TABLE entry; --/send",
  ]
  const OWN_BUT_NOT_FOR_CLIENTS = [
    'inbox',
    'reply/wrong',
    'live',
    'nothing',
    'send/more',
    'call',
    'call/',
    '',
  ]

  test('that are not mine are denied on MQTT 5, and the connection stays', async () => {
    using device = await Device.connect(server, newUid('mallory'), 'wrong5', { version: 5, subscribe: false })
    const own = OWN_BUT_NOT_FOR_CLIENTS.map((rest) => `u/${device.uid}/${rest}`)
    for (const topic of [...FOREIGN(), ...WRONG, ...own]) {
      const ack = await device.client.publishAcked({ topic, payload: '{}' })
      expect(ack.reasonCode, topic).toBeGreaterThanOrEqual(0x80)
    }
    await device.client.ping()
  })

  test('that are not mine reach nobody on 3.1.1, whether the connection stays or not', async () => {
    using watcher = await Device.connect(server, victim.bob, 'watcher')
    await watcher.client.subscribe(`u/${victim.bob}/own/#`)
    for (const topic of [...FOREIGN(), ...WRONG]) {
      using device = await Device.connect(server, victim.alice, 'wrong4', { subscribe: false })
      device.client.publish({ topic, payload: JSON.stringify({ to: victim.bob, text: 'forged' }) })
      device.client.send({ cmd: 'pingreq' })
      await until(
        () => device.client.closed || device.client.received('pingresp').length > 0,
        `an answer to a PUBLISH on ${topic}`,
      )
    }
    await watcher.settle()
    expect(watcher.client.publishes().filter((packet) => String(packet.payload).includes('forged'))).toEqual(
      [],
    )
  })

  test.each([4, 5] as const)('of somebody else cannot be subscribed (version %i)', async (version) => {
    using device = await Device.connect(server, newUid('mallory'), 'spy', { version, subscribe: false })
    const denied = version === 5 ? 0x87 : 0x80
    const filters = [
      ...FOREIGN(),
      `u/${device.uid}/reply/another-device`,
      `u/${device.uid}/#`,
      `u/${device.uid}/+`,
      'u/+/inbox',
      'u/#',
      '+/+/inbox',
      '#',
      '+',
      '$SYS/#',
      '__proto__/#',
      'constructor',
    ]
    for (const filter of filters) {
      expect(await device.client.subscribe(filter), filter).toEqual([denied])
    }
    await device.client.ping()
  })

  test('an operation that does not exist is refused by its name', async () => {
    using device = await Device.connect(server, newUid('caller'), 'phone')
    for (const name of ['no.such', '__proto__', 'constructor', 'toString']) {
      expect(await device.call(name, {}, name)).toMatchObject({
        kind: 'refused',
        op: name,
        code: 'unknown_operation',
      })
    }
  })

  test.each(['own/__proto__', 'own/constructor/prototype', 'own/toString', "own/'; DROP TABLE x; --"])(
    'u/{me}/%s is a topic like any other',
    async (rest) => {
      using device = await Device.connect(server, newUid('maker'), 'phone', { subscribe: false })
      const topic = `u/${device.uid}/${rest}`
      expect(await device.client.subscribe(topic)).toEqual([1])
      await device.client.publishAcked({ topic, payload: 'fine', retain: true })
      expect(String((await device.client.next('publish')).payload)).toBe('fine')
    },
  )
})
