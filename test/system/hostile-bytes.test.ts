/** Hostile bytes on the MQTT port: closed with a reason, and nobody else notices (design: sections 9 and 10). */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  FIRST_PACKETS_NOT_CONNECT,
  MALFORMED_CONNECTS,
  MALFORMED_PACKETS,
  type MalformedCase,
} from '../../broker/gate/codec/testing/malformed.ts'
import { Bystanders } from '../harness/bystander.ts'
import { Device } from '../harness/device.ts'
import { newFriends, newUid } from '../harness/people.ts'
import { RawClient, type Version } from '../harness/raw-client.ts'
import { IN_CLUSTER, sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer({ env: { WOCHAT_CONNECT_TIMEOUT_MS: '2s' } })
let bystanders: Bystanders
beforeAll(async () => {
  bystanders = await Bystanders.start(server)
})
afterEach(() => bystanders.assertUnharmed())
afterAll(() => bystanders?.stop())

/** Versions of the protocol that the server does not speak may be answered in the 3.1.1 form. */
const UNSUPPORTED_VERSION = 0x84

describe('a malformed CONNECT closes the connection', () => {
  test.each(MALFORMED_CONNECTS)('$name', async ({ bytes, version, reason }) => {
    using client = await RawClient.open({ port: server.mqttPort, version })
    client.write(bytes)
    await client.untilClosed()
    const [ack, ...more] = client.packets
    expect(more).toEqual([])
    if (ack === undefined) return
    expect(ack.cmd).toBe('connack')
    if (ack.cmd !== 'connack') return
    expect(ack.sessionPresent).toBe(false)
    if (reason === UNSUPPORTED_VERSION) return
    if (version === 5) expect(ack.reasonCode).toBe(reason)
    else expect(ack.returnCode).not.toBe(0)
  })
})

describe('a first packet that is no CONNECT closes the connection without an answer', () => {
  test.each(FIRST_PACKETS_NOT_CONNECT)('$name', async ({ bytes, version }) => {
    using client = await RawClient.open({ port: server.mqttPort, version })
    client.write(bytes)
    await client.untilClosed()
    expect(client.packets).toEqual([])
  })
})

async function openSession(version: Version): Promise<Device> {
  return Device.connect(server, newUid('mallory'), 'phone', { version, subscribe: false })
}

describe('a malformed packet closes the connection, on MQTT 5 with its reason', () => {
  async function replay({ name, bytes, version, reason }: MalformedCase, attach: boolean): Promise<void> {
    using device = await openSession(version)
    if (attach) expect(await device.client.subscribe(`u/${device.uid}/own/#`)).toEqual([1])
    const before = device.client.packets.length
    device.client.write(bytes)
    await device.client.untilClosed()
    const answers = device.client.packets.slice(before)
    expect(device.client.parseError).toBeNull()
    if (version === 4) expect(answers).toEqual([])
    else {
      expect(answers.map((packet) => packet.cmd)).toEqual(['disconnect'])
      // An AUTH without a method in the CONNECT may be refused before its form is looked at [MQTT-4.12.0-6].
      const reasons = name.startsWith('auth') ? [0x82, reason] : [reason]
      expect(reasons).toContain(device.client.received('disconnect')[0]?.reasonCode)
    }
  }

  test.each(MALFORMED_PACKETS)('$name', (entry) => replay(entry, false))
  test.each(MALFORMED_PACKETS)('$name, while the engine is attached', (entry) => replay(entry, true))
})

describe('frames may be cut anywhere', () => {
  /** CONNECT, SUBSCRIBE, two sends, a PINGREQ, as one stream of bytes. */
  function stream(client: RawClient, uid: string, bob: string): Buffer {
    const input = { clientId: `${uid}/cut`, username: uid, password: server.token(uid, null) }
    const topic = `u/${uid}/send`
    return Buffer.concat([
      client.encode(client.connectPacket(input)),
      client.encode({
        cmd: 'subscribe',
        messageId: 1,
        subscriptions: [{ topic: `u/${uid}/reply/cut`, qos: 1 }],
      }),
      client.encode(
        client.publishPacket({ topic, payload: `{"to":"${bob}","text":"ünï😀 1"}`, messageId: 2 }),
      ),
      client.encode(client.publishPacket({ topic, payload: `{"to":"${bob}","text":"2"}`, messageId: 3 })),
      client.encode({ cmd: 'pingreq' }),
    ])
  }

  async function expectAnswered(client: RawClient): Promise<void> {
    await client.next('pingresp')
    await until(
      () => client.received('puback').length === 2,
      () => `two PUBACKs; ${client.story()}`,
    )
    expect(client.received('puback').map((ack) => ack.messageId)).toEqual([2, 3])
    expect(client.received('suback').length).toBe(1)
  }

  test.each([4, 5] as const)(
    'at every byte position of a whole conversation (version %i)',
    async (version) => {
      const { alice, bob } = await newFriends(server)
      const probe = await RawClient.open({ port: server.mqttPort, version })
      const length = stream(probe, alice, bob).length
      probe.cut()
      using receiver = await Device.connect(server, bob, 'phone')
      // The start holds CONNECT with its token; past the token every position is tried, within it every 16th. How a
      // stream is cut is a matter of one node: in a cluster some positions are enough.
      const step = IN_CLUSTER ? 8 : 1
      const positions = Array.from({ length: length - 1 }, (_, i) => i + 1).filter(
        (at) => ((at < 60 || at > length - 260) && at % step === 0) || at % 16 === 0,
      )
      for (const at of positions) {
        // Without automatic PUBACKs: one for a reply would land in the middle of the cut frame.
        using client = await RawClient.open({ port: server.mqttPort, version, autoAck: false })
        const bytes = stream(client, alice, bob)
        client.write(bytes.subarray(0, at))
        // Two writes become two segments only if the first has left: a round trip of somebody else makes sure.
        await receiver.client.ping()
        client.write(bytes.subarray(at))
        await expectAnswered(client)
      }
      await receiver.untilMessages(positions.length * 2)
    },
    120_000,
  )

  test.each([4, 5] as const)('byte by byte, and all in one chunk (version %i)', async (version) => {
    const { alice, bob } = await newFriends(server)
    using slow = await RawClient.open({ port: server.mqttPort, version, autoAck: false })
    for (const byte of stream(slow, alice, bob)) {
      slow.write(Buffer.from([byte]))
      await new Promise(setImmediate)
    }
    await expectAnswered(slow)
    using fast = await RawClient.open({ port: server.mqttPort, version })
    fast.write(stream(fast, alice, bob))
    await expectAnswered(fast)
  })

  test('a thousand packets in one chunk are all answered, in order', async () => {
    using device = await Device.connect(server, newUid('bulk'), 'phone', { subscribe: false })
    const { client } = device
    const packets = Array.from({ length: 1000 }, (_, i) =>
      client.encode(
        client.publishPacket({
          topic: `u/${device.uid}/send`,
          payload: `{"to":"${device.uid}","text":"${i}"}`,
          messageId: i + 1,
        }),
      ),
    )
    client.write(Buffer.concat(packets))
    await until(
      () => client.received('puback').length === 1000,
      () => `1000; ${client.story()}`,
    )
    expect(client.received('puback').map((ack) => ack.messageId)).toEqual(
      Array.from({ length: 1000 }, (_, i) => i + 1),
    )
  })
})

describe('what kills the bare engine', () => {
  test('a client id `constructor`', async () => {
    for (const clientId of [
      'constructor',
      '__proto__',
      'toString',
      'hasOwnProperty/x',
      'constructor/phone',
    ]) {
      using client = await RawClient.open({ port: server.mqttPort })
      await client.connect({ clientId, username: clientId, password: 'x' }).catch(() => null)
      await client.untilClosed()
    }
  })

  test('a PUBLISH of version 5 with a Response Topic that is cut short', async () => {
    using device = await openSession(5)
    const topic = `u/${device.uid}/own/x`
    expect(await device.client.subscribe(`u/${device.uid}/own/#`)).toEqual([1])
    const body = Buffer.concat([
      Buffer.from([0, topic.length]),
      Buffer.from(topic),
      Buffer.from([5, 0x08, 0, 5, 0x61, 0x62]),
      Buffer.from('x'),
    ])
    device.client.write(Buffer.concat([Buffer.from([0x30, body.length]), body]))
    await device.client.untilClosed()
    expect(device.client.received('disconnect')[0]?.reasonCode).toBe(0x81)
  })

  test('concurrent duplicate PUBRELs', async () => {
    using device = await openSession(4)
    device.client.autoAck = false
    const topic = `u/${device.uid}/own/x`
    const messageId = device.client.publish({ topic, payload: 'x', qos: 2 })
    await device.client.next('pubrec')
    const pubrel = device.client.encode({ cmd: 'pubrel', messageId })
    device.client.write(Buffer.concat(Array.from({ length: 50 }, () => pubrel)))
    await device.client.next('pubcomp')
    await device.client.ping()
  })

  test('a PUBREL for a packet id that was never used', async () => {
    using device = await openSession(4)
    await device.client.subscribe(`u/${device.uid}/own/#`)
    device.client.send({ cmd: 'pubrel', messageId: 777 })
    await device.client.next('pubcomp', (packet) => packet.messageId === 777)
    await device.client.ping()
  })
})

describe('floods', () => {
  test('half-open QoS 2 exchanges of the own space are bounded', async () => {
    using device = await openSession(4)
    device.client.autoAck = false
    const topic = `u/${device.uid}/own/x`
    for (let i = 0; i < 5000 && !device.client.closed; i++) {
      device.client.publish({ topic, payload: 'x', qos: 2, messageId: i + 1 })
    }
    // Bounded either way: it is cut, or the server stops reading it and answers no further ones.
    await until(async () => {
      const open = device.client.received('pubrec').length
      await bystanders.assertUnharmed()
      return device.client.closed || open === device.client.received('pubrec').length
    }, 'the flood to be held')
    if (!device.client.closed) expect(device.client.received('pubrec').length).toBeLessThan(5000)
  })

  test('a client that sends and never reads is cut or held, and memory does not grow with it', async () => {
    const before = (await server.metrics()).sum('process_resident_memory_bytes')
    using device = await openSession(4)
    device.client.freeze()
    const ping = Buffer.alloc(2 * 10_000, Buffer.from([0xc0, 0]))
    for (let i = 0; i < 500 && !device.client.closed; i++) device.client.write(ping)
    for (let i = 0; i < 20; i++) await bystanders.assertUnharmed()
    const after = (await server.metrics()).sum('process_resident_memory_bytes')
    expect(after - before).toBeLessThan(150 * 1024 * 1024 * server.nodes.length)
  })
})
