import { expect, test, vi } from 'vitest'
import { EngineWorld } from './testing/engine-world.ts'

test('a message reaches each client once, with the highest QoS of its subscriptions that match', async () => {
  await using world = await EngineWorld.start()
  const subscribers = [
    world.device('bob/phone'),
    world.device('eve/phone', { version: 4, cleanStart: true, sessionExpirySeconds: 0 }),
  ]
  for (const subscriber of subscribers) {
    expect(await subscriber.subscribe('room/+', 0)).toBe(0)
    expect(await subscriber.subscribe('room/#', 2)).toBe(2)
    expect(await subscriber.subscribe('room/1', 1)).toBe(1)
  }
  const alice = world.device('alice/phone')
  expect(await alice.publish('room/1', 'hello', { qos: 2 })).toBeNull()
  for (const subscriber of subscribers) {
    await vi.waitFor(() => expect(subscriber.received).toHaveLength(1))
    expect(subscriber.received[0]).toMatchObject({ topic: 'room/1', qos: 2, retain: false, dup: false })
  }
})

test('a QoS 0 message does not make Aedes drop the QoS 1 message that was published just before it', async () => {
  await using world = await EngineWorld.start()
  const clean = world.device('bob/phone', { cleanStart: true, sessionExpirySeconds: 0 })
  const persistent = world.device('eve/phone')
  await clean.subscribe('a/#', 1)
  await persistent.subscribe('a/#', 1)
  const alice = world.device('alice/phone')
  await alice.link.ready
  const published = []
  for (let i = 0; i < 50; i++) {
    published.push(alice.publish('a/x', `${i}`, { qos: (i % 3) as 0 | 1 | 2, retain: i % 5 === 0 }))
  }
  expect(await Promise.all(published)).toEqual(published.map(() => null))
  const all = published.map((_, i) => `${i}`)
  await vi.waitFor(() => expect(persistent.received).toHaveLength(50))
  expect(clean.texts).toEqual(all)
  expect(persistent.texts.toSorted((a, b) => Number(a) - Number(b))).toEqual(all)
})

test('a retained message is there for new subscribers after a restart, and gone when it is cleared', async () => {
  await using world = await EngineWorld.start()
  const alice = world.device('alice/phone')
  await alice.publish('u/alice/own/state', 'on', { retain: true })
  await world.restart()
  const tablet = world.device('alice/tablet')
  await tablet.subscribe('u/alice/own/#', 1, { identifier: 7 })
  await vi.waitFor(() => expect(tablet.texts).toEqual(['on']))
  expect(tablet.received[0]).toMatchObject({
    retain: true,
    qos: 1,
    properties: { subscriptionIdentifiers: [7] },
  })

  await world.device('alice/phone').publish('u/alice/own/state', '', { retain: true })
  await world.restart()
  const laptop = world.device('alice/laptop')
  await laptop.subscribe('u/alice/own/#', 1)
  await laptop.publish('u/alice/own/end', 'end')
  await vi.waitFor(() => expect(laptop.texts).toEqual(['end']))
})

test('retain handling 1 sends retained messages to new subscriptions only, and 2 to none', async () => {
  await using world = await EngineWorld.start()
  const alice = world.device('alice/phone')
  await alice.publish('t/state', 'on', { retain: true })
  const bob = world.device('bob/phone')
  await bob.subscribe('t/#', 1, { retainHandling: 2 })
  await bob.subscribe('t/#', 1, { retainHandling: 1 })
  await bob.subscribe('t/+', 1, { retainHandling: 1 })
  await vi.waitFor(() => expect(bob.texts).toEqual(['on']))
  await bob.subscribe('t/+', 1, { retainHandling: 0 })
  await vi.waitFor(() => expect(bob.texts).toEqual(['on', 'on']))
})

test('a thousand retained messages reach a subscriber of window 4 without cutting it', async () => {
  await using world = await EngineWorld.start({ waitingBytesMax: 64 * 1024 })
  const alice = world.device('alice/phone')
  const published = []
  for (let i = 0; i < 1000; i++) published.push(alice.publish(`t/${i}`, 'x'.repeat(300), { retain: true }))
  await Promise.all(published)
  const bob = world.device('bob/phone', { window: 4, cleanStart: true, sessionExpirySeconds: 0 })
  const eve = world.device('eve/phone', { window: 4 })
  for (const subscriber of [bob, eve]) await subscriber.subscribe('t/#', 1)
  await vi.waitFor(() => expect([bob.received.length, eve.received.length]).toEqual([1000, 1000]), 10_000)
  expect(bob.inflightMax).toBeLessThanOrEqual(4)
  expect(eve.inflightMax).toBeLessThanOrEqual(4)
  expect(bob.closed).toBeNull()
})

test('no local, retain as published and subscription identifiers are honoured', async () => {
  await using world = await EngineWorld.start()
  const alice = world.device('alice/phone')
  await alice.subscribe('t/#', 1, { noLocal: true })
  const bob = world.device('bob/phone', { cleanStart: true, sessionExpirySeconds: 0 })
  await bob.subscribe('t/+', 1, { retainAsPublished: true, identifier: 3 })
  await bob.subscribe('t/#', 0, { identifier: 4 })
  await alice.publish('t/1', 'x', {
    retain: true,
    properties: { contentType: 'a', correlationData: Buffer.from([0, 255]) },
  })
  await vi.waitFor(() => expect(bob.received).toHaveLength(1))
  expect(bob.received[0]).toMatchObject({ retain: true, qos: 1 })
  expect(bob.received[0]?.properties?.subscriptionIdentifiers?.toSorted()).toEqual([3, 4])
  expect(bob.received[0]?.properties?.correlationData).toEqual(Buffer.from([0, 255]))
  await bob.publish('t/2', 'y')
  await vi.waitFor(() => expect(alice.texts).toEqual(['y']))
})

test('properties with bytes survive the queue and the retained store', async () => {
  await using world = await EngineWorld.start()
  const properties = {
    correlationData: Buffer.from([1, 2, 0, 255]),
    responseTopic: 'r/x',
    userProperties: [
      ['__proto__', 'x'],
      ['k', 'v'],
    ] as [string, string][],
    payloadFormatIndicator: 1 as const,
  }
  const bob = world.device('bob/phone')
  await bob.subscribe('t/#', 1)
  await bob.detach()
  await world.device('alice/phone').publish('t/1', 'x', { properties, retain: true })
  await world.restart()
  const again = world.device('bob/phone')
  await again.subscribe('t/1', 1)
  await vi.waitFor(() => expect(again.received).toHaveLength(2))
  for (const { properties: got } of again.received) expect(got).toEqual(properties)
})

test('a message that is past its expiry is not delivered from the queue, and one that is not tells what is left', async () => {
  await using world = await EngineWorld.start()
  const bob = world.device('bob/phone')
  await bob.subscribe('t/#', 1)
  await bob.detach()
  const alice = world.device('alice/phone')
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 10_000 })
  try {
    await alice.publish('t/1', 'short', { properties: { messageExpiryInterval: 1 } })
    await alice.publish('t/1', 'long', { properties: { messageExpiryInterval: 1000 } })
  } finally {
    vi.useRealTimers()
  }
  const again = world.device('bob/phone')
  await vi.waitFor(() => expect(again.texts).toEqual(['long']))
  expect(again.received[0]?.properties?.messageExpiryInterval).toBeGreaterThan(900)
  expect(again.received[0]?.properties?.messageExpiryInterval).toBeLessThanOrEqual(990)
})

test('unsubscribe ends the delivery, and tells on MQTT 5 when there was nothing', async () => {
  await using world = await EngineWorld.start()
  const bob = world.device('bob/phone')
  await bob.subscribe('t/#', 1)
  expect(await bob.link.unsubscribe('t/#')).toBe(0)
  expect(await bob.link.unsubscribe('t/#')).toBe(0x11)
  await world.device('alice/phone').publish('t/1', 'x')
  await bob.subscribe('end', 1)
  await bob.publish('end', 'end')
  await vi.waitFor(() => expect(bob.texts).toEqual(['end']))
})

test('a receiver that stops reading is cut alone, with bounded memory, and the others get everything at once', async () => {
  await using world = await EngineWorld.start({ waitingBytesMax: 100_000 })
  const frozen = world.device('bob/frozen', { cleanStart: true, sessionExpirySeconds: 0, isSilent: true })
  const stalled = world.device('bob/stalled', { isSilent: true })
  const reader = world.device('bob/reader', { cleanStart: true, sessionExpirySeconds: 0 })
  for (const device of [frozen, stalled, reader]) await device.subscribe('t/#', 1)
  frozen.isBlocked = true
  const alice = world.device('alice/phone')
  let waitingMax = 0
  for (let i = 0; i < 300; i++) {
    await alice.publish('t/1', `${i} ${'x'.repeat(1000)}`)
    waitingMax = Math.max(waitingMax, frozen.link.waitingBytes)
  }
  expect(reader.received).toHaveLength(300)
  expect(frozen.closed).toBe('slow')
  expect(waitingMax).toBeLessThanOrEqual(100_000)
  // A stored session waits on disk instead, and holds no more than its window.
  expect(stalled.closed).toBeNull()
  expect(stalled.received).toHaveLength(32)
})

test('packet ids stay below 32,768 and are never given twice while in use, over several turns of the counter', async () => {
  await using world = await EngineWorld.start()
  const bob = world.device('bob/phone', {
    cleanStart: true,
    sessionExpirySeconds: 0,
    isSilent: true,
    window: 100,
  })
  await bob.subscribe('t', 1)
  const alice = world.device('alice/phone')
  await alice.link.ready
  const held = new Set<number>()
  const order: number[] = []
  let next = 0
  for (let i = 0; i < 70_000; i++) {
    void alice.publish('t', 'x')
    if (i % 50 !== 49) continue
    await new Promise((resolve) => setImmediate(resolve))
    for (; next < bob.received.length; next++) {
      const { packetId } = bob.received[next]!
      expect(packetId).toBeGreaterThan(0)
      expect(packetId).toBeLessThan(32_768)
      expect(held.has(packetId)).toBe(false)
      held.add(packetId)
      order.push(packetId)
    }
    while (order.length > 10) {
      // Out of order, so that old ids are still held when the counter comes round.
      const packetId = order.splice(order.length - 1, 1)[0]!
      held.delete(packetId)
      bob.link.puback(packetId)
    }
  }
  expect(bob.received.length).toBeGreaterThan(65_536)
})
