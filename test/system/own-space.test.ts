/** Plain MQTT: the user's own space, topics granted by the token, and the open test profile (design: sections 3 and 10). */
import { describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { befriend, newFriends, newUid } from '../harness/people.ts'
import { RawClient, type Version } from '../harness/raw-client.ts'
import { sharedServer, startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()
const BOTH_VERSIONS = [4, 5] as const

/** A device that follows nothing of the chat. */
function connect(on: TestServer, uid: string, id: string, version: Version, options = {}): Promise<Device> {
  return Device.connect(on, uid, id, { version, subscribe: false, ...options })
}

const payloads = (device: Device, topic: string) =>
  device.client.publishes(topic).map((packet) => String(packet.payload))

describe.each(BOTH_VERSIONS)('own space, version %i', (version) => {
  test('carries QoS 0, 1 and 2 to the other devices of the user, at the granted QoS', async () => {
    const uid = newUid('maker')
    using lamp = await connect(server, uid, 'lamp', version)
    using phone = await connect(server, uid, 'phone', version)
    expect(await phone.client.subscribe({ topic: `u/${uid}/own/#`, qos: 2 })).toEqual([2])
    for (const qos of [0, 1, 2] as const) {
      lamp.client.publish({ topic: `u/${uid}/own/lamp/q${qos}`, payload: `at ${qos}`, qos })
      await until(() => payloads(phone, `u/${uid}/own/lamp/q${qos}`).length > 0, `the message at QoS ${qos}`)
      expect(phone.client.publishes(`u/${uid}/own/lamp/q${qos}`)[0]?.qos).toBe(qos)
    }
    await lamp.client.next('puback')
    await lamp.client.next('pubcomp')
    await phone.settle()
    expect(phone.client.publishes().length).toBe(3)
  })

  test('carries payloads that are not JSON, not text, empty or large', async () => {
    const uid = newUid('maker')
    using lamp = await connect(server, uid, 'lamp', version)
    using phone = await connect(server, uid, 'phone', version)
    await phone.client.subscribe(`u/${uid}/own/#`)
    const bodies = [Buffer.from([0, 255, 254, 0xc3, 0x28]), Buffer.alloc(0), Buffer.alloc(60_000, 7)]
    for (const payload of bodies) await lamp.client.publishAcked({ topic: `u/${uid}/own/raw`, payload })
    await until(() => phone.client.publishes(`u/${uid}/own/raw`).length === 3, 'three payloads')
    const received = phone.client.publishes(`u/${uid}/own/raw`).map((packet) => Buffer.from(packet.payload))
    expect(received.map((payload, i) => payload.equals(bodies[i]!))).toEqual([true, true, true])
  })

  test('keeps a retained message for later subscribers, and an empty one clears it', async () => {
    const uid = newUid('maker')
    const topic = `u/${uid}/own/lamp/state`
    using lamp = await connect(server, uid, 'lamp', version)
    await lamp.client.publishAcked({ topic, payload: 'on', retain: true })
    {
      using late = await connect(server, uid, 'late', version)
      await late.client.subscribe(`u/${uid}/own/+/state`)
      const packet = await late.client.next('publish')
      expect([String(packet.payload), packet.retain]).toEqual(['on', true])
    }
    await lamp.client.publishAcked({ topic, payload: '', retain: true })
    using later = await connect(server, uid, 'later', version)
    await later.client.subscribe(topic)
    await later.settle()
    expect(later.client.publishes(topic)).toEqual([])
  })

  test('publishes the will of a device that is cut, not of one that disconnects', async () => {
    const uid = newUid('maker')
    const topic = `u/${uid}/own/lamp/online`
    const will = { topic, payload: Buffer.from('gone'), qos: 1 as const, retain: true }
    using phone = await connect(server, uid, 'phone', version)
    await phone.client.subscribe(topic)
    const leaver = await connect(server, uid, 'leaver', version, { connect: { will } })
    await leaver.leave()
    await phone.settle()
    expect(payloads(phone, topic)).toEqual([])
    const lamp = await connect(server, uid, 'lamp', version, { connect: { will } })
    await lamp.client.ping()
    lamp.cut()
    await until(() => payloads(phone, topic).length === 1, 'the will')
    expect(payloads(phone, topic)).toEqual(['gone'])
  })

  test('queues QoS 1 and 2 for a persistent session, in order', async () => {
    const uid = newUid('maker')
    const topic = `u/${uid}/own/jobs`
    {
      using robot = await connect(server, uid, 'robot', version, { clean: false })
      await robot.client.subscribe({ topic, qos: 2 })
      await robot.leave()
    }
    using phone = await connect(server, uid, 'phone', version)
    for (let i = 0; i < 20; i++) await phone.client.publishAcked({ topic, payload: `job ${i}` })
    phone.client.publish({ topic, payload: 'job 20', qos: 2 })
    await phone.client.next('pubcomp')
    using robot = await connect(server, uid, 'robot', version, { clean: false })
    expect(robot.sessionPresent).toBe(true)
    await until(
      () => payloads(robot, topic).length >= 21,
      () => `21 jobs; ${robot.client.story()}`,
    )
    await robot.settle()
    expect(payloads(robot, topic)).toEqual(Array.from({ length: 21 }, (_, i) => `job ${i}`))
  })

  test('of somebody else is denied for both directions, and the connection stays on version 5', async () => {
    const [mine, other] = [newUid('mine'), newUid('other')]
    using device = await connect(server, mine, 'phone', version)
    const denied = version === 5 ? 0x87 : 0x80
    expect(await device.client.subscribe(`u/${other}/own/#`)).toEqual([denied])
    expect(await device.client.subscribe('u/+/own/x')).toEqual([denied])
    using victim = await connect(server, other, 'phone', version)
    await victim.client.subscribe(`u/${other}/own/#`)
    const messageId = device.client.publish({ topic: `u/${other}/own/x`, payload: 'intruder' })
    if (version === 5) {
      const ack = await device.client.next('puback', (packet) => packet.messageId === messageId)
      expect(ack.reasonCode).toBe(0x87)
      await device.client.ping()
    }
    await victim.settle()
    expect(victim.client.publishes()).toEqual([])
  })

  test('shares a SUBSCRIBE with inbox and reply: each filter has its own code, in order', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    using device = await connect(server, bob, 'phone', version)
    const denied = version === 5 ? 0x87 : 0x80
    const granted = await device.client.subscribe(
      { topic: `u/${bob}/own/a`, qos: 2 },
      { topic: device.inboxTopic, qos: 1 },
      { topic: `u/${alice}/inbox`, qos: 1 },
      { topic: `u/${bob}/own/b/#`, qos: 0 },
      { topic: device.replyTopic, qos: 1 },
      { topic: 'elsewhere/#', qos: 1 },
    )
    expect(granted).toEqual([2, 1, denied, 0, 1, denied])
    await sender.send({ id: 'm1', to: bob, text: 'chat' })
    await device.untilText('chat')
    await device.client.publishAcked({ topic: `u/${bob}/own/a`, payload: 'plain' })
    await until(() => payloads(device, `u/${bob}/own/a`).length === 1, 'the plain message')
    await device.client.unsubscribe(`u/${bob}/own/a`, device.inboxTopic)
    await sender.send({ id: 'm2', to: bob, text: 'unheard' })
    await device.client.publishAcked({ topic: `u/${bob}/own/a`, payload: 'unheard' })
    await device.settle()
    expect(device.texts).toEqual(['chat'])
    expect(payloads(device, `u/${bob}/own/a`)).toEqual(['plain'])
  })

  test('and chat share one space of packet ids without ever using one twice', async () => {
    const { alice, bob } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    using device = await connect(server, bob, 'phone', version, { autoAck: false })
    await device.client.subscribe({ topic: device.inboxTopic, qos: 1 }, { topic: `u/${bob}/own/#`, qos: 1 })
    using thing = await connect(server, bob, 'thing', version)
    for (let i = 0; i < 10; i++) {
      await sender.send({ id: `m${i}`, to: bob, text: `m${i}` })
      await thing.client.publishAcked({ topic: `u/${bob}/own/x`, payload: `${i}` })
    }
    await until(
      () => device.client.publishes().length === 20,
      () => `20; ${device.client.story()}`,
    )
    const ids = device.client.publishes().map((packet) => packet.messageId)
    expect(new Set(ids).size).toBe(20)
    // Each side gets its own acknowledgements: what is acknowledged here does not come again.
    for (const packet of device.client.publishes()) device.client.ack(packet)
    await sender.send({ id: 'last', to: bob, text: 'last' })
    await until(() => device.client.publishes().length === 21, 'the next one')
    expect(device.texts.at(-1)).toBe('last')
  })

  test('with overlapping subscriptions delivers at the highest QoS of them', async () => {
    const uid = newUid('maker')
    const topic = `u/${uid}/own/a/b`
    using device = await connect(server, uid, 'phone', version)
    await device.client.subscribe({ topic: `u/${uid}/own/#`, qos: 0 }, { topic, qos: 1 })
    await device.client.publishAcked({ topic, payload: 'once' })
    await until(() => payloads(device, topic).length >= 1, 'the message')
    await device.settle()
    const packets = device.client.publishes(topic)
    expect(Math.max(...packets.map((packet) => packet.qos))).toBe(1)
    // A copy per subscription is allowed by both versions, more is not.
    expect(packets.length).toBeLessThanOrEqual(2)
  })
})

/** Three kills, each with a start of every node. */
const KILLS_MS = 180_000

describe('durability', () => {
  test.each(BOTH_VERSIONS)(
    'retained, queue and subscriptions survive a restart and a kill (version %i)',
    async (version) => {
      await using own = await startServer()
      const [state, jobs] = ['u/maker/own/state', 'u/maker/own/jobs']
      {
        using robot = await connect(own, 'maker', 'robot', version, { clean: false })
        await robot.client.subscribe({ topic: jobs, qos: 1 })
        await robot.leave()
      }
      {
        using phone = await connect(own, 'maker', 'phone', version)
        await phone.client.publishAcked({ topic: state, payload: 'kept', retain: true })
        await phone.client.publishAcked({ topic: jobs, payload: 'one' })
      }
      await own.restart()
      {
        using phone = await connect(own, 'maker', 'phone', version)
        await phone.client.publishAcked({ topic: jobs, payload: 'two' })
        await own.kill9()
      }
      await own.start()
      using robot = await connect(own, 'maker', 'robot', version, { clean: false })
      expect(robot.sessionPresent).toBe(true)
      await until(() => payloads(robot, jobs).length >= 2, 'the queue')
      expect(payloads(robot, jobs)).toEqual(['one', 'two'])
      await robot.client.subscribe(state)
      await until(() => payloads(robot, state).length === 1, 'the retained message')
      expect(payloads(robot, state)).toEqual(['kept'])
    },
  )

  test('a PUBACK of the engine comes only after its store: killed right after it, nothing is lost', {
    timeout: KILLS_MS,
  }, async () => {
    await using own = await startServer()
    const topic = 'u/maker/own/jobs'
    {
      using robot = await connect(own, 'maker', 'robot', 4, { clean: false })
      await robot.client.subscribe({ topic, qos: 1 })
      await robot.leave()
    }
    const acked: string[] = []
    for (let round = 0; round < 3; round++) {
      using phone = await connect(own, 'maker', 'phone', 4)
      const sent = new Map<number, string>()
      for (let i = 0; i < 100; i++) {
        const payload = `${round}-${i}`
        sent.set(phone.client.publish({ topic, payload }), payload)
      }
      await until(() => phone.client.received('puback').length >= 30, '30 PUBACKs')
      await own.kill9()
      for (const ack of phone.client.received('puback')) acked.push(sent.get(ack.messageId!)!)
      await own.start()
    }
    using robot = await connect(own, 'maker', 'robot', 4, { clean: false })
    const missing = (got = new Set(payloads(robot, topic))) => acked.filter((payload) => !got.has(payload))
    await until(
      () => missing().length === 0,
      () => `all that was acknowledged; missing: ${missing()}`,
    )
  })
})

describe('application topics', () => {
  const acl = { pub: ['sensors/+/temperature', 'shared/#'], sub: ['sensors/#', 'shared/#'] }

  test.each(BOTH_VERSIONS)(
    'granted by the token are plain MQTT, others are denied (version %i)',
    async (version) => {
      const [one, two] = [newUid('one'), newUid('two')]
      using publisher = await connect(server, one, 'gw', version, { token: server.token(one, 'gw', { acl }) })
      using subscriber = await connect(server, two, 'gw', version, {
        token: server.token(two, 'gw', { acl }),
      })
      const denied = version === 5 ? 0x87 : 0x80
      expect(
        await subscriber.client.subscribe('sensors/#', 'other/#', '#', '+/kitchen/temperature', '$SYS/#'),
      ).toEqual([1, denied, denied, denied, denied])
      await publisher.client.publishAcked({ topic: 'sensors/kitchen/temperature', payload: '21' })
      await until(() => payloads(subscriber, 'sensors/kitchen/temperature').length === 1, 'the reading')
      if (version === 5) {
        const ack = await publisher.client.publishAcked({ topic: 'sensors/kitchen/humidity', payload: '50' })
        expect(ack.reasonCode).toBe(0x87)
      }
      await subscriber.settle()
      expect(subscriber.client.publishes().length).toBe(1)
    },
  )

  test.each(['u/#', 'u/alice/inbox', 'u', '$SYS/#', '$share/g/u/alice/inbox'])(
    'a token that grants %s is not a valid token',
    async (filter) => {
      const uid = newUid('mine')
      for (const acl of [{ pub: [filter] }, { sub: ['fine', filter] }]) {
        using client = await RawClient.open({ port: server.mqttPort, version: 5 })
        const password = server.token(uid, 'spy', { acl })
        expect((await client.connect({ clientId: `${uid}/spy`, username: uid, password })).code).toBe(0x86)
      }
    },
  )

  test('a granted wildcard never reaches into u/ or $', async () => {
    const [mine, other] = [newUid('mine'), newUid('other')]
    const wide = { pub: ['#'], sub: ['#', '+/+/inbox'] }
    using device = await connect(server, mine, 'spy', 5, { token: server.token(mine, 'spy', { acl: wide }) })
    for (const filter of [`u/${other}/inbox`, 'u/+/inbox', `u/${other}/own/#`, '$SYS/#']) {
      expect(await device.client.subscribe(filter), filter).toEqual([0x87])
    }
    // What '#' grants must not show the conversation of others either.
    await device.client.subscribe('#', '+/+/inbox')
    await befriend(server, other, newUid('friend'))
    using writer = await connect(server, other, 'phone', 5)
    await writer.client.publishAcked({ topic: `u/${other}/own/secret`, payload: 'mine alone' })
    await writer.client.publishAcked({
      topic: `u/${other}/send`,
      payload: JSON.stringify({ to: other, text: 'note' }),
    })
    const ack = await device.client.publishAcked({ topic: `u/${other}/own/secret`, payload: 'forged' })
    expect(ack.reasonCode).toBe(0x87)
    await device.settle()
    expect(device.client.publishes().map((packet) => packet.topic)).toEqual([])
  })

  test('a will on a topic that is not granted is refused at CONNECT', async () => {
    const uid = newUid('mine')
    for (const version of BOTH_VERSIONS) {
      using client = await RawClient.open({ port: server.mqttPort, version })
      const { code } = await client.connect({
        clientId: `${uid}/phone`,
        username: uid,
        password: server.token(uid, 'phone'),
        will: { topic: `u/${newUid('other')}/inbox`, payload: Buffer.from('x'), qos: 0, retain: false },
      })
      expect(code).toBe(version === 5 ? 0x87 : 5)
    }
  })
})

describe('the open test profile', () => {
  const own = sharedServer({ env: { WOCHAT_OPEN_PLAIN: 'true' } })

  test.each(BOTH_VERSIONS)(
    'takes any client without a password on topics outside u/ (version %i)',
    async (version) => {
      using a = await RawClient.open({ port: own.mqttPort, version })
      using b = await RawClient.open({ port: own.mqttPort, version })
      expect((await a.connect({ clientId: 'any thing' })).code).toBe(0)
      expect((await b.connect({ clientId: '' })).code).toBe(0)
      expect(await b.subscribe({ topic: '#', qos: 2 })).toEqual([2])
      a.publish({ topic: '/plain/topic', payload: 'hello', qos: 2 })
      await a.next('pubcomp')
      expect(String((await b.next('publish')).payload)).toBe('hello')
      const denied = version === 5 ? 0x87 : 0x80
      expect(await a.subscribe('u/alice/inbox', 'u/#')).toEqual([denied, denied])
    },
  )

  test('still asks for a token where somebody claims to be a user', async () => {
    using alice = await Device.connect(own, 'alice', 'phone')
    await alice.send({ id: 'n1', to: 'alice', text: 'note' })
    using thief = await RawClient.open({ port: own.mqttPort })
    const { code } = await thief.connect({ clientId: 'alice/phone', username: 'alice', password: 'guess' })
    if (code === 0) expect(await thief.subscribe('u/alice/inbox')).toEqual([0x80])
    else expect(code).toBe(4)
  })
})
