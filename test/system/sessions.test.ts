/** MQTT sessions of both versions: what stays, what ends, what is sent again (design: sections 5 and 11). */
import { describe, expect, test } from 'vitest'
import { admin } from '../harness/admin.ts'
import { Device } from '../harness/device.ts'
import { newFriends } from '../harness/people.ts'
import { type ConnectInput, RawClient } from '../harness/raw-client.ts'
import { sharedServer, startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer({ env: { WOCHAT_ACK_TIMEOUT_MS: '10m' } })
const BOTH_VERSIONS = [4, 5] as const

async function sendText(on: TestServer, from: string, to: string, ...texts: string[]): Promise<void> {
  using sender = await Device.connect(on, from, 'sender', { subscribe: false })
  for (const text of texts) sender.publishSend({ id: text, to, text })
  await until(() => sender.client.received('puback').length === texts.length, `${texts.length} PUBACKs`)
}

function connectInput(uid: string, id: string): ConnectInput {
  return { clientId: `${uid}/${id}`, username: uid, password: server.token(uid, id) }
}

describe.each(BOTH_VERSIONS)('version %i', (version) => {
  test('a clean session ends with its connection: no queue, no subscriptions', async () => {
    const { alice, bob } = await newFriends(server)
    {
      using first = await Device.connect(server, bob, 'phone', { version, clean: true })
      await first.untilSynced()
      await first.leave()
    }
    await sendText(server, alice, bob, 'while away')
    using second = await Device.connect(server, bob, 'phone', { version, clean: false, subscribe: false })
    expect(second.sessionPresent).toBe(false)
    await sendText(server, alice, bob, 'not subscribed')
    await second.settle()
    expect(second.deliveries).toEqual([])
  })

  test('a persistent session keeps subscriptions and queue over DISCONNECT and over a cut', async () => {
    const { alice, bob } = await newFriends(server)
    for (const [name, end] of [
      ['after DISCONNECT', (device: Device) => device.leave()],
      ['after a cut', async (device: Device) => device.cut()],
    ] as const) {
      {
        using device = await Device.connect(server, bob, 'phone', { version, clean: false })
        await device.untilSynced()
        await end(device)
      }
      await sendText(server, alice, bob, name)
      using device = await Device.connect(server, bob, 'phone', { version, clean: false, subscribe: false })
      expect(device.sessionPresent).toBe(true)
      await device.untilText(name)
      expect(device.texts).toEqual([name])
      await device.client.ping()
    }
  })

  test('a clean start ends the persistent session with its queue', async () => {
    const { alice, bob } = await newFriends(server)
    {
      using device = await Device.connect(server, bob, 'phone', { version, clean: false })
      await device.untilSynced()
      await device.leave()
    }
    await sendText(server, alice, bob, 'dropped with the session')
    {
      using device = await Device.connect(server, bob, 'phone', { version, clean: true })
      expect(device.sessionPresent).toBe(false)
      await device.untilSynced()
      await device.settle()
      expect(device.messages).toEqual([])
      await device.leave()
    }
    using device = await Device.connect(server, bob, 'phone', { version, clean: false, subscribe: false })
    expect(device.sessionPresent).toBe(false)
  })

  test('after a cut the unacknowledged come again first, with DUP, the same ids and in order', async () => {
    const { alice, bob } = await newFriends(server)
    using first = await Device.connect(server, bob, 'phone', { version, clean: false, autoAck: false })
    await first.untilSynced()
    await sendText(server, alice, bob, 'one', 'two', 'three', 'four')
    await until(() => first.deliveries.length === 4, 'four deliveries')
    const ids = first.deliveries.map((packet) => packet.messageId)
    expect(first.deliveries.map((packet) => packet.dup)).toEqual([false, false, false, false])
    first.client.ack(first.deliveries[1]!)
    await first.client.ping()
    first.cut()
    await sendText(server, alice, bob, 'five')

    using second = await Device.connect(server, bob, 'phone', { version, clean: false, subscribe: false })
    await second.untilText('five')
    const repeats = second.deliveries.slice(0, 3)
    expect(repeats.map((packet) => packet.dup)).toEqual([true, true, true])
    expect(repeats.map((packet) => packet.messageId)).toEqual([ids[0], ids[2], ids[3]])
    await second.settle()
    expect(second.deliveries.map((packet) => packet.dup)).toEqual([true, true, true, false])
    expect(second.texts).toEqual(['one', 'three', 'four', 'five'])
  })

  test('after a restart the unacknowledged come again as new packets', async () => {
    await using own = await startServer({ env: { WOCHAT_CONTACTS_REQUIRED: 'false' } })
    using first = await Device.connect(own, 'bob', 'phone', { version, clean: false, autoAck: false })
    await first.untilSynced()
    await sendText(own, 'alice', 'bob', 'one', 'two')
    await until(() => first.deliveries.length === 2, 'two deliveries')
    await own.restart()
    using second = await Device.connect(own, 'bob', 'phone', { version, clean: false, subscribe: false })
    await second.untilMessages(2)
    expect(second.texts).toEqual(['one', 'two'])
    expect(second.deliveries.map((packet) => packet.dup)).toEqual([false, false])
  })

  test('a client that is taken over leaves what it did not acknowledge to the new connection', async () => {
    const { alice, bob } = await newFriends(server)
    using first = await Device.connect(server, bob, 'phone', { version, clean: false, autoAck: false })
    await first.untilSynced()
    await sendText(server, alice, bob, 'one', 'two')
    await until(() => first.deliveries.length === 2, 'two deliveries')
    using second = await Device.connect(server, bob, 'phone', { version, clean: false, subscribe: false })
    await second.untilMessages(2)
    expect(second.texts).toEqual(['one', 'two'])
  })

  test('UNSUBSCRIBE keeps the cursor: what came meanwhile is sent at the next SUBSCRIBE', async () => {
    const { alice, bob } = await newFriends(server)
    using device = await Device.connect(server, bob, 'phone', { version, clean: false })
    await sendText(server, alice, bob, 'before')
    await device.untilText('before')
    await device.client.unsubscribe(device.inboxTopic)
    await sendText(server, alice, bob, 'meanwhile')
    await device.settle()
    expect(device.texts).toEqual(['before'])
    await device.client.subscribe(device.inboxTopic)
    await device.untilText('meanwhile')
    expect(device.texts).toEqual(['before', 'meanwhile'])
  })

  test('the inbox is granted at QoS 0 and 1, and QoS 2 becomes 1', async () => {
    const { alice, bob } = await newFriends(server)
    for (const [asked, granted] of [
      [0, 0],
      [1, 1],
      [2, 1],
    ] as const) {
      using device = await Device.connect(server, bob, `q${asked}`, { version, subscribe: false })
      expect(await device.client.subscribe({ topic: device.inboxTopic, qos: asked })).toEqual([granted])
      await sendText(server, alice, bob, `at ${asked}`)
      await device.untilText(`at ${asked}`)
      expect(device.deliveries.at(-1)?.qos).toBe(granted)
    }
  })

  test('at QoS 0 the cursor moves with the writing', async () => {
    const { alice, bob } = await newFriends(server)
    {
      using device = await Device.connect(server, bob, 'phone', { version, clean: false, subscribe: false })
      await device.client.subscribe({ topic: device.inboxTopic, qos: 0 })
      await sendText(server, alice, bob, 'seen')
      await device.untilText('seen')
      await device.leave()
    }
    await sendText(server, alice, bob, 'unseen')
    using device = await Device.connect(server, bob, 'phone', { version, clean: false, subscribe: false })
    await device.untilText('unseen')
    expect(device.texts).toEqual(['unseen'])
  })

  test('the replies are not queued for a connection that comes later', async () => {
    const { alice, bob } = await newFriends(server)
    {
      using device = await Device.connect(server, alice, 'phone', { version, clean: false, autoAck: false })
      device.publishSend({ id: 'm1', to: bob, text: 'answer me' })
      await device.reply((reply) => reply.id === 'm1')
      device.cut()
    }
    using device = await Device.connect(server, alice, 'phone', { version, clean: false, subscribe: false })
    await device.settle()
    expect(device.replies.filter((reply) => reply.kind !== 'sync')).toEqual([])
  })

  test('unknown and repeated PUBACKs are ignored', async () => {
    const { alice, bob } = await newFriends(server)
    using device = await Device.connect(server, bob, 'phone', { version, clean: false })
    for (const messageId of [1, 40_000, 65_535]) device.client.send({ cmd: 'puback', messageId })
    await sendText(server, alice, bob, 'one')
    await device.untilText('one')
    device.client.ack(device.deliveries[0]!)
    await sendText(server, alice, bob, 'two')
    await device.untilText('two')
    expect(device.texts).toEqual(['one', 'two'])
  })

  test('acknowledgements out of order wait for the lower ones', async () => {
    const { alice, bob } = await newFriends(server)
    {
      using device = await Device.connect(server, bob, 'phone', { version, clean: false, autoAck: false })
      await device.untilSynced()
      await sendText(server, alice, bob, 'a', 'b', 'c')
      await until(() => device.deliveries.length === 3, 'three deliveries')
      device.client.ack(device.deliveries[2]!)
      device.client.ack(device.deliveries[0]!)
      await device.leave()
    }
    using device = await Device.connect(server, bob, 'phone', { version, clean: false, subscribe: false })
    await device.untilText('b')
    await device.settle()
    expect(device.texts).not.toContain('a')
  })
})

describe('session expiry of version 5', () => {
  const persistent = (sessionExpiryInterval: number) => ({
    clean: false,
    version: 5 as const,
    connect: { properties: { sessionExpiryInterval } },
  })

  /** Asks the admin port: to connect as the session itself would renew it. */
  const isOver = async (uid: string, name: string): Promise<boolean> => {
    const { devices } = await admin(server, 'sessions', { uid })
    const session = devices.find(({ device }) => device === name)?.session ?? null
    return session === null || (session.expiresAt !== null && session.expiresAt < Date.now())
  }

  test('ends the session that long after its connection, not before', async () => {
    const { bob } = await newFriends(server)
    {
      using device = await Device.connect(server, bob, 'short', persistent(1))
      await device.leave()
      using other = await Device.connect(server, bob, 'long', persistent(60))
      await other.leave()
    }
    await until(() => isOver(bob, 'short'), 'the short session to be over')
    expect(await isOver(bob, 'long')).toBe(false)
    using short = await Device.connect(server, bob, 'short', { ...persistent(1), subscribe: false })
    using long = await Device.connect(server, bob, 'long', { ...persistent(60), subscribe: false })
    expect(short.sessionPresent).toBe(false)
    expect(long.sessionPresent).toBe(true)
  })

  test('of 0 ends the session with the connection, also without clean start', async () => {
    const { bob } = await newFriends(server)
    {
      using device = await Device.connect(server, bob, 'phone', persistent(0))
      await device.leave()
    }
    using device = await Device.connect(server, bob, 'phone', { ...persistent(0), subscribe: false })
    expect(device.sessionPresent).toBe(false)
  })

  test('may be changed by the DISCONNECT', async () => {
    const { bob } = await newFriends(server)
    using first = await Device.connect(server, bob, 'phone', persistent(3600))
    first.client.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } })
    await first.client.untilClosed()
    using second = await Device.connect(server, bob, 'phone', { ...persistent(3600), subscribe: false })
    expect(second.sessionPresent).toBe(false)
  })

  test('may not become non-zero in the DISCONNECT when it was 0', async () => {
    const { bob } = await newFriends(server)
    using first = await Device.connect(server, bob, 'phone', persistent(0))
    first.client.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 60 } })
    await first.client.untilClosed()
    expect(first.client.received('disconnect')[0]?.reasonCode).toBe(0x82)
  })

  test('above the limit is lowered, and the client is told', async () => {
    const { bob } = await newFriends(server)
    using client = await RawClient.open({ port: server.mqttPort, version: 5 })
    const ack = await client.connect({
      ...connectInput(bob, 'phone'),
      clean: false,
      properties: { sessionExpiryInterval: 0xffff_ffff },
    })
    expect(ack.properties?.sessionExpiryInterval).toBe(30 * 86_400)
  })
})

describe('bounds of the client', () => {
  test('Receive Maximum lowers the window', async () => {
    const { alice, bob } = await newFriends(server)
    using device = await Device.connect(server, bob, 'phone', {
      version: 5,
      autoAck: false,
      subscribe: false,
      connect: { properties: { receiveMaximum: 4 } },
    })
    await device.client.subscribe(device.inboxTopic)
    await sendText(server, alice, bob, ...Array.from({ length: 20 }, (_, i) => `m${i}`))
    let unacked: typeof device.deliveries = []
    for (let acked = 0; acked < 20; acked += unacked.length) {
      await until(() => device.deliveries.length > acked, 'more deliveries')
      await device.settle()
      unacked = device.deliveries.slice(acked)
      expect(unacked.length).toBeLessThanOrEqual(4)
      for (const packet of unacked) device.client.ack(packet)
    }
    expect(device.texts.length).toBe(20)
  })

  test('an entry above Maximum Packet Size becomes a gap, and the next one comes', async () => {
    const { alice, bob } = await newFriends(server)
    using device = await Device.connect(server, bob, 'phone', {
      version: 5,
      clean: false,
      connect: { properties: { maximumPacketSize: 600, sessionExpiryInterval: 60 } },
    })
    await sendText(server, alice, bob, 'small')
    using sender = await Device.connect(server, alice, 'phone')
    await sender.send({ id: 'big', to: bob, text: 'x'.repeat(2000) })
    await sender.send({ id: 'next', to: bob, text: 'next' })
    await device.untilText('next')
    const shown = device.inbox.filter((entry) => entry.kind === 'message' || entry.kind === 'gap')
    expect(shown.map((entry) => entry.kind)).toEqual(['message', 'gap', 'message'])
    expect(shown[1]).toMatchObject({ reason: 'too_large', from: 2, to: 2, log: shown[0]?.log })
  })

  test('a PUBACK with an error code of version 5 counts as acknowledged', async () => {
    const { alice, bob } = await newFriends(server)
    {
      using device = await Device.connect(server, bob, 'phone', { version: 5, clean: false, autoAck: false })
      await device.untilSynced()
      await sendText(server, alice, bob, 'disliked')
      await until(() => device.deliveries.length === 1, 'the delivery')
      device.client.send({
        cmd: 'puback',
        messageId: device.deliveries[0]!.messageId!,
        reasonCode: 0x99,
      })
      await device.client.ping()
      await device.leave()
    }
    using device = await Device.connect(server, bob, 'phone', { version: 5, clean: false, subscribe: false })
    await device.settle()
    expect(device.messages).toEqual([])
  })

  test('an entry that is not acknowledged in time ends a connection that still pings', async () => {
    await using own = await startServer({
      env: { WOCHAT_ACK_TIMEOUT_MS: '700ms', WOCHAT_CONTACTS_REQUIRED: 'false' },
    })
    using device = await Device.connect(own, 'bob', 'phone', { clean: false, autoAck: false })
    await sendText(own, 'alice', 'bob', 'unacknowledged')
    await until(() => device.deliveries.length === 1, 'the delivery')
    const pings = setInterval(() => device.client.send({ cmd: 'pingreq' }), 100)
    try {
      await device.client.untilClosed(6000)
    } finally {
      clearInterval(pings)
    }
    using again = await Device.connect(own, 'bob', 'phone', { clean: false, subscribe: false })
    await again.untilText('unacknowledged')
  })
})
