/** An operator looks into a server and acts on its connections, over the admin port. */
import { request } from 'node:http'
import { describe, expect, test } from 'vitest'
import { ADMIN_NAMES, ADMIN_OPERATIONS } from '../../protocol/admin/operations.ts'
import { admin, adminRaw, Trace } from '../harness/admin.ts'
import { Device } from '../harness/device.ts'
import { MqttJs } from '../harness/mqtt-client.ts'
import { befriend, directLog, makeAccounts, makeGroup, newFriends, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()

describe('looking', () => {
  test('nodes shows this node, its roles and how many are connected', async () => {
    const uid = newUid('alice')
    using _device = await Device.connect(server, uid, 'phone')
    const { nodes, warnings } = await admin(server, 'nodes', {})
    expect(nodes).toHaveLength(1)
    expect(nodes[0]).toMatchObject({
      isSelf: true,
      state: 'ready',
      roles: ['broker', 'api', 'fanout', 'push'],
    })
    expect(nodes[0]!.connections).toBeGreaterThanOrEqual(1)
    expect(nodes[0]!.memoryBytes).toBeGreaterThan(1e6)
    expect(warnings).toEqual([])
  })

  test('rates of a node follow its traffic', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    using _receiver = await Device.connect(server, bob, 'phone')
    let sent = 0
    const row = await until(async () => {
      for (let i = 0; i < 20; i++) await sender.send({ id: `r${sent++}`, to: bob, text: 'x' })
      const { nodes } = await admin(server, 'nodes', {})
      return nodes[0]!.sendsPerSecond > 0 && nodes[0]!.deliveriesPerSecond > 0 ? nodes[0]! : false
    }, 'a rate')
    expect(row.eventLoopDelayMs).toBeGreaterThan(0)
  })

  test('sessions shows where a device is connected, and what waits for one that is not', async () => {
    const { alice, bob } = await newFriends(server)
    using phone = await Device.connect(server, bob, 'phone', { version: 5, clean: false })
    await (await Device.connect(server, bob, 'tablet', { clean: false })).leave()
    using sender = await Device.connect(server, alice, 'phone')
    for (let i = 0; i < 3; i++) await sender.send({ id: `s${i}`, to: bob, text: `${i}` })
    await phone.untilMessages(3)
    const { devices, away } = await admin(server, 'sessions', { uid: bob })
    expect(away).toEqual([])
    const [connected, offline] = ['phone', 'tablet'].map((name) =>
      devices.find(({ device }) => device === name),
    )
    expect(connected?.connection).toMatchObject({
      address: '127.0.0.1',
      transport: 'tcp',
      protocol: '5',
      inbox: 'live',
      writeBufferBytes: 0,
    })
    expect(offline?.connection).toBeNull()
    expect(offline?.session?.pending).toBe(3)
    expect(offline?.session?.expiresAt).toBeGreaterThan(Date.now())
  })

  test('slow names the device that does not acknowledge, and how many entries it is behind', async () => {
    const { alice, bob } = await newFriends(server)
    using frozen = await Device.connect(server, bob, 'phone', { autoAck: false })
    using sender = await Device.connect(server, alice, 'phone')
    for (let i = 0; i < 40; i++) await sender.send({ id: `f${i}`, to: bob, text: `${i}` })
    await frozen.untilMessages(32)
    const { connections } = await admin(server, 'slow', { by: 'behind' })
    expect(connections[0]).toMatchObject({ uid: bob, device: 'phone', entriesBehind: 8, logsBehind: 1 })
    const byAge = await admin(server, 'slow', { by: 'unacked', limit: 1 })
    expect(byAge.connections).toHaveLength(1)
    const { nodes } = await admin(server, 'queues', {})
    expect(nodes[0]!.inflight).toBeGreaterThanOrEqual(32)
    expect(nodes[0]!.inboxesBehind).toBeGreaterThanOrEqual(1)
  })

  test('queues has no streams where there is no Redis', async () => {
    expect((await admin(server, 'queues', {})).streams).toBeNull()
  })

  test('message tells who wrote an entry and which devices have acknowledged it, and never its content', async () => {
    const { alice, bob } = await newFriends(server)
    using phone = await Device.connect(server, bob, 'phone', { clean: false })
    await (await Device.connect(server, bob, 'tablet', { clean: false })).leave()
    using sender = await Device.connect(server, alice, 'laptop')
    const { seq } = await sender.send({ id: 'm1', to: bob, text: 'very-secret' })
    await phone.untilMessages(1)
    const log = directLog(alice, bob)
    const found = await until(async () => {
      const result = await admin(server, 'message', { log, seq: seq! })
      return result.readers.some(({ isAcknowledged }) => isAcknowledged) ? result : false
    }, 'the acknowledgement in the store')
    expect(found.entry).toMatchObject({
      log,
      seq,
      from: alice,
      device: 'laptop',
      id: 'm1',
      kind: 'message',
      type: 'text',
    })
    expect(JSON.stringify(found)).not.toContain('very-secret')
    const ofBob = found.readers.filter(({ uid }) => uid === bob)
    expect(ofBob.find(({ device }) => device === 'phone')).toMatchObject({
      cursor: seq,
      isAcknowledged: true,
    })
    expect(ofBob.find(({ device }) => device === 'tablet')).toMatchObject({ isAcknowledged: false })
  })

  test('message pages the members of a group, each of them once', async () => {
    const owner = newUid('owner')
    const members = Array.from({ length: 7 }, (_, i) => newUid(`m${i}`))
    await makeAccounts(server, owner, ...members)
    for (const member of members) await befriend(server, owner, member)
    const log = await makeGroup(server, owner, members)
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await admin(server, 'message', {
        log,
        seq: 1,
        limit: 3,
        ...(cursor !== undefined && { cursor }),
      })
      seen.push(...page.readers.map(({ uid }) => uid))
      cursor = page.cursor
    } while (cursor !== undefined)
    expect(seen.toSorted()).toEqual([owner, ...members].toSorted())
  })
})

describe('acting', () => {
  test('kick closes one device with reason 0x98; its session stays and nothing is lost', async () => {
    const { alice, bob } = await newFriends(server)
    using phone = await Device.connect(server, bob, 'phone', { version: 5, clean: false })
    using tablet = await Device.connect(server, bob, 'tablet', { version: 4, clean: false })
    const { closed } = await admin(server, 'kick', { uid: bob, device: 'phone' })
    expect(closed.map(({ device }) => device)).toEqual(['phone'])
    expect((await phone.client.next('disconnect')).reasonCode).toBe(0x98)
    await phone.client.untilClosed()
    await tablet.client.ping()
    using sender = await Device.connect(server, alice, 'phone')
    await sender.send({ id: 'k1', to: bob, text: 'after the kick' })
    using back = await Device.connect(server, bob, 'phone', { version: 5, clean: false, subscribe: false })
    expect(back.sessionPresent).toBe(true)
    await back.untilText('after the kick')
  })

  test('kick without a device closes all, over WebSocket too', async () => {
    const uid = newUid('bob')
    await using web = await MqttJs.connect(server, uid, 'web', { over: 'ws' })
    using phone = await Device.connect(server, uid, 'phone')
    const { closed } = await admin(server, 'kick', { uid })
    expect(closed.map(({ device }) => device).toSorted()).toEqual(['phone', 'web'])
    await phone.client.untilClosed()
    await until(() => !web.client.connected, 'the web client to be closed')
    expect((await admin(server, 'kick', { uid })).closed).toEqual([])
  })

  test('revoke ends the connection of a device and refuses its token', async () => {
    const uid = newUid('bob')
    using phone = await Device.connect(server, uid, 'phone', { version: 5 })
    const token = server.token(uid, 'phone')
    expect(await admin(server, 'revoke', { uid, device: 'phone' })).toEqual({ revoked: true })
    await phone.client.untilClosed()
    await expect(Device.connect(server, uid, 'phone', { token })).rejects.toThrow('refused')
  })
})

describe('tracing', () => {
  test('a trace of a log shows each step of one message, in order', async () => {
    const { alice, bob } = await newFriends(server)
    using receiver = await Device.connect(server, bob, 'phone', { clean: false })
    using sender = await Device.connect(server, alice, 'laptop')
    await using trace = await Trace.start(server, { log: directLog(alice, bob), seconds: 30 })
    const { seq } = await sender.send({ id: 'traced', to: bob, text: 'x' })
    await receiver.untilText('x')
    await until(() => trace.steps.some(({ step }) => step === 'acknowledged'), 'the acknowledgement')
    const ofMessage = trace.steps.map(({ step, seq: at, uid, device }) => [step, at, `${uid}/${device}`])
    expect(ofMessage.filter(([step]) => step === 'accepted')).toEqual([['accepted', null, `${alice}/laptop`]])
    expect(ofMessage.filter(([step]) => step !== 'accepted').toSorted()).toEqual([
      ['acknowledged', seq, `${bob}/phone`],
      ['rung', seq, `${alice}/laptop`],
      ['sent', seq, `${bob}/phone`],
      ['stored', seq, `${alice}/laptop`],
    ])
    const order = trace.steps.map(({ step }) => step)
    expect(order.indexOf('accepted')).toBeLessThan(order.indexOf('stored'))
    expect(order.indexOf('sent')).toBeLessThan(order.indexOf('acknowledged'))
  })

  test('a trace of a device shows only its steps, refusals too, and ends by itself', async () => {
    const { alice, bob } = await newFriends(server)
    using _other = await Device.connect(server, bob, 'tablet')
    using receiver = await Device.connect(server, bob, 'phone')
    using sender = await Device.connect(server, alice, 'laptop')
    await using ofPhone = await Trace.start(server, { device: `${bob}/phone`, seconds: 2 })
    await sender.send({ id: 'd1', to: bob, text: 'x' })
    receiver.publishSend({ id: 'd2', to: newUid('nobody'), text: 'x' })
    await until(() => ofPhone.lines.at(-1)?.kind === 'ended', 'the end of the trace')
    expect(new Set(ofPhone.steps.map(({ device }) => device))).toEqual(new Set(['phone']))
    expect(ofPhone.steps.map(({ step }) => step).toSorted()).toEqual([
      'accepted',
      'acknowledged',
      'refused',
      'sent',
    ])
  })

  test('more steps than a second may have are counted, and the sends go on', async () => {
    const { alice, bob } = await newFriends(server)
    using receiver = await Device.connect(server, bob, 'phone')
    using sender = await Device.connect(server, alice, 'laptop')
    await using trace = await Trace.start(server, { log: directLog(alice, bob), seconds: 60 })
    for (let i = 0; i < 2000; i++) sender.publishSend({ id: `b${i}`, to: bob, text: `${i}` })
    await receiver.untilMessages(2000, 30_000)
    await until(() => trace.lines.some(({ kind }) => kind === 'dropped'), 'dropped steps')
    const dropped = trace.lines
      .map((line) => (line.kind === 'dropped' ? line.events : 0))
      .reduce((a, b) => a + b)
    await until(() => trace.steps.length > 0, 'steps')
    expect(dropped).toBeGreaterThan(0)
    expect(trace.steps.length + dropped).toBeLessThanOrEqual(5 * 2000)
  })
})

// ---------------------------------------------------------------- bad input

const BAD: readonly [string, unknown, number, string][] = [
  ['nodes', { x: 1 }, 400, 'bad_request'],
  ['sessions', {}, 400, 'bad_request'],
  ['sessions', { uid: 5 }, 400, 'bad_request'],
  ['sessions', { uid: '__proto__' }, 400, 'bad_request'],
  ['sessions', { uid: 'nobody-here' }, 404, 'unknown_user'],
  ['sessions', { uid: 'bob', x: 1 }, 400, 'bad_request'],
  ['kick', {}, 400, 'bad_request'],
  ['kick', { uid: 'nobody-here' }, 404, 'unknown_user'],
  ['kick', { uid: 'bob', device: 'a/b' }, 400, 'bad_request'],
  ['kick', { uid: 'bob', device: null }, 400, 'bad_request'],
  ['revoke', { uid: 'bob' }, 400, 'bad_request'],
  ['revoke', { uid: 'nobody-here', device: 'phone' }, 404, 'unknown_user'],
  ['revoke', { uid: 'bob', device: 'constructor' }, 400, 'bad_request'],
  ['drain', {}, 400, 'bad_request'],
  ['drain', { node: '' }, 400, 'bad_request'],
  ['drain', { node: 'nowhere' }, 404, 'unknown_node'],
  ['drain', { node: 7 }, 400, 'bad_request'],
  ['undrain', { node: 'nowhere' }, 404, 'unknown_node'],
  ['undrain', { node: ['a'] }, 400, 'bad_request'],
  ['drainStatus', { node: 'nowhere' }, 404, 'unknown_node'],
  ['drainStatus', { node: 'x'.repeat(301) }, 400, 'bad_request'],
  ['rebalance', { share: 0 }, 400, 'bad_request'],
  ['rebalance', { share: '0.1' }, 400, 'bad_request'],
  ['rebalance', { share: 11 }, 400, 'bad_request'],
  ['queues', { node: 'x' }, 400, 'bad_request'],
  ['slow', { by: 'name' }, 400, 'bad_request'],
  ['slow', { limit: 0 }, 400, 'bad_request'],
  ['slow', { limit: 501 }, 400, 'bad_request'],
  ['trace', {}, 400, 'bad_request'],
  ['trace', { device: 'a/b', log: 'g:x' }, 400, 'bad_request'],
  ['trace', { device: 'alice' }, 400, 'bad_request'],
  ['trace', { log: 'd:b:a' }, 400, 'bad_request'],
  ['trace', { log: 'g:x', seq: 1, id: 'm1' }, 400, 'bad_request'],
  ['trace', { device: 'a/b', seq: 1 }, 400, 'bad_request'],
  ['trace', { log: 'g:x', seconds: 0 }, 400, 'bad_request'],
  ['trace', { log: 'g:x', seconds: 3601 }, 400, 'bad_request'],
  ['message', { log: 'g:x' }, 400, 'bad_request'],
  ['message', { log: 'g:nothing', seq: 1 }, 404, 'unknown_log'],
  ['message', { log: 'd:b:a', seq: 1 }, 400, 'bad_request'],
  ['message', { log: 'g:x', seq: 0 }, 400, 'bad_request'],
  ['message', { log: 'g:x', seq: 1.5 }, 400, 'bad_request'],
  ['message', { log: 'g:x', seq: '1' }, 400, 'bad_request'],
  ['message', { log: 'g:x', seq: 2 ** 60 }, 400, 'bad_request'],
  ['message', { log: 'g:x', seq: 1, limit: 501 }, 400, 'bad_request'],
  ['webhooks', { x: 1 }, 400, 'bad_request'],
  ['addWebhook', { id: 'w', url: 'ftp://x', events: ['*'] }, 400, 'bad_request'],
  ['addWebhook', { id: 'w', url: 'http://x', events: ['nothing.like.it'] }, 400, 'bad_request'],
  ['addWebhook', { id: 'w', url: 'http://x', events: ['*'], secret: 'short' }, 400, 'bad_request'],
  ['updateWebhook', { id: 'nowhere', events: ['*'] }, 404, 'unknown_webhook'],
  ['updateWebhook', { id: 'a b' }, 400, 'bad_request'],
  ['removeWebhook', { id: 'nowhere' }, 404, 'unknown_webhook'],
  ['pauseWebhook', { id: 'nowhere' }, 404, 'unknown_webhook'],
  ['resumeWebhook', { id: 'nowhere' }, 404, 'unknown_webhook'],
  ['replayWebhook', { id: 'nowhere', from: 1 }, 404, 'unknown_webhook'],
  ['replayWebhook', { id: 'nowhere', from: 0 }, 400, 'bad_request'],
  ['deadLetters', { id: 'nowhere' }, 404, 'unknown_webhook'],
  ['retryDeadLetters', { id: 'nowhere' }, 404, 'unknown_webhook'],
  ['addBot', { uid: 'a/b', name: 'x' }, 400, 'bad_request'],
  ['addBot', { uid: 'a-bot' }, 400, 'bad_request'],
  ['addSystemAccount', { uid: 'a-system', name: '' }, 400, 'bad_request'],
  ['addApiKey', { uid: 'nobody-here', name: 'x' }, 409, 'not_a_bot'],
  ['apiKeys', { uid: 'nobody-here' }, 409, 'not_a_bot'],
  ['endApiKey', { id: 'nowhere' }, 404, 'unknown_key'],
  ['removeBot', { uid: 'nobody-here' }, 409, 'not_a_bot'],
  ['broadcast', { id: 'b1', from: 'nobody-here', body: { text: 'x' } }, 409, 'not_a_system_account'],
  ['broadcast', { id: 'b1', from: 'nobody-here' }, 400, 'bad_request'],
  ['broadcasts', { x: 1 }, 400, 'bad_request'],
  ['stopBroadcast', { id: 'nowhere' }, 404, 'unknown_broadcast'],
  ['sendAs', { uid: 'nobody-here', to: 'bob', id: 'm1', text: 'x' }, 404, 'unknown_user'],
  ['sendAs', { uid: 'nobody-here', to: 'bob', text: 'x' }, 400, 'bad_request'],
  ['importAccounts', { accounts: [] }, 400, 'bad_request'],
  ['importAccounts', { accounts: [{ uid: 'x', phone: '123' }] }, 400, 'bad_request'],
  ['importContacts', { pairs: [{ a: 'nobody-here', b: 'nobody-there' }] }, 404, 'unknown_user'],
  ['importMessages', { log: 'g:nothing', messages: [] }, 400, 'bad_request'],
  ['words', { after: 5 }, 400, 'bad_request'],
  ['setWords', { words: [{ word: 'x', action: 'burn' }] }, 400, 'bad_request'],
  ['setWords', { words: [{ word: ' ', action: 'mask' }] }, 400, 'bad_request'],
  ['removeWords', { words: [] }, 400, 'bad_request'],
  ['reports', { state: 'lost' }, 400, 'bad_request'],
  ['reports', { limit: 101 }, 400, 'bad_request'],
  ['decideReport', { n: 999_999_999, decision: 'dismiss' }, 404, 'unknown_report'],
  ['decideReport', { n: 1, decision: 'burn' }, 400, 'bad_request'],
  ['decideReport', { n: 1, decision: 'dismiss', until: 9_999_999_999_999 }, 400, 'bad_request'],
  ['suspend', { uid: 'nobody-here', reason: 'spam' }, 404, 'unknown_user'],
  ['suspend', { uid: 'nobody-here', reason: 'spam', until: 1 }, 400, 'bad_request'],
  ['suspend', { uid: 'nobody-here' }, 400, 'bad_request'],
  ['unsuspend', { uid: 'nobody-here' }, 404, 'unknown_user'],
  ['suspensions', { limit: 101 }, 400, 'bad_request'],
]

describe('bad input', () => {
  test.each(BAD)('%s %j is refused with %i %s', async (name, params, status, code) => {
    const answer = await adminRaw(server, name, { body: JSON.stringify(params) })
    expect([answer.status, (answer.body.error as { code: string }).code]).toEqual([status, code])
  })

  test('every operation is in the table of bad input', () => {
    const tried = new Set(BAD.map(([name]) => name))
    expect(ADMIN_NAMES.filter((name) => !tried.has(name))).toEqual([])
  })

  test.each(ADMIN_NAMES)('%s refuses what is no JSON object', async (name) => {
    for (const body of ['[]', '"x"', '5', '{', '{"a":\xff}']) {
      const answer = await adminRaw(server, name, { body })
      expect([answer.status, (answer.body.error as { code: string }).code], body).toEqual([400, 'bad_json'])
    }
  })

  test('a cursor of somewhere else, an entry beyond the head and a deep or large body are refused', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'laptop')
    const { seq } = await sender.send({ id: 'm1', to: bob, text: 'x' })
    const log = directLog(alice, bob)
    const codes = []
    for (const params of [
      { log, seq, cursor: 'x' },
      { log, seq: seq! + 1000 },
      { log, seq, x: 'y'.repeat(20_000) },
    ]) {
      const { status, body } = await adminRaw(server, 'message', { body: JSON.stringify(params) })
      codes.push([status, (body.error as { code: string }).code])
    }
    expect(codes).toEqual([
      [400, 'bad_request'],
      [404, 'unknown_entry'],
      [413, 'too_large'],
    ])
  })

  test('there is no other operation, and nothing changes by GET', async () => {
    expect((await adminRaw(server, 'format', { body: '{}' })).status).toBe(404)
    for (const name of ADMIN_NAMES.filter((each) => ADMIN_OPERATIONS[each].kind === 'change')) {
      expect((await adminRaw(server, `${name}?uid=bob&device=phone&node=x`, { method: 'GET' })).status).toBe(
        405,
      )
    }
  })

  test('GET reads with a query, whose numbers are numbers', async () => {
    const { status, body } = await adminRaw(server, 'slow?limit=1&by=buffer', { method: 'GET' })
    expect([status, body]).toEqual([200, { connections: [], away: [] }])
    expect((await adminRaw(server, 'slow?limit=x', { method: 'GET' })).status).toBe(400)
  })

  test('a page of another site is refused, whether by its origin or by a name that points here', async () => {
    const foreign = await adminRaw(server, 'nodes', {
      body: '{}',
      headers: { origin: 'https://evil.example' },
    })
    expect(foreign.status).toBe(403)
    const rebound = await new Promise<number>((resolve, reject) => {
      const options = { port: server.adminPort, path: '/admin/v1/nodes', headers: { host: 'evil.example' } }
      request(options, (response) => resolve(response.statusCode ?? 0))
        .once('error', reject)
        .end()
    })
    expect(rebound).toBe(403)
    const form = await adminRaw(server, 'kick', {
      body: '{"uid":"bob"}',
      headers: { 'content-type': 'text/plain' },
    })
    expect(form.status).toBe(400)
  })
})
