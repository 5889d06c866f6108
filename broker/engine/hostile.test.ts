import { expect, test, vi } from 'vitest'
import { EngineWorld } from './testing/engine-world.ts'

/** Names that objects find in themselves. */
const NAMES = ['constructor', '__proto__', 'prototype', 'toString', 'hasOwnProperty', '__defineGetter__']

test("names of an object's own members are harmless as client id, filter, topic and user property", async () => {
  await using world = await EngineWorld.start()
  for (const name of NAMES) {
    const device = world.device(name)
    const clean = world.device(`${name}/${name}`, { version: 4, cleanStart: true, sessionExpirySeconds: 0 })
    for (const subscriber of [device, clean]) {
      // Aedes keeps filters as keys of plain objects where it restores them.
      expect(await subscriber.subscribe(name, 1)).toBe(
        name === '__proto__' ? (subscriber === clean ? 0x80 : 0x87) : 1,
      )
      expect(await subscriber.subscribe(`${name}/#`, 2)).toBe(2)
      expect(await subscriber.subscribe(`${name}/#`, 1)).toBe(1)
    }
    await device.publish(`${name}/${name}`, name, {
      qos: 2,
      retain: true,
      properties: { userProperties: [[name, name]] },
    })
    await device.publish(name, name, { retain: true })
    await vi.waitFor(() => expect(clean.received).toHaveLength(2))
    await vi.waitFor(() => expect(device.received).toHaveLength(2))
    await device.detach()
  }
  await world.restart()
  for (const name of NAMES) {
    const again = world.device(name)
    await world.device('alice/phone').publish(`${name}/x`, 'again')
    await vi.waitFor(() => expect(again.texts).toContain('again'))
    expect(await again.link.unsubscribe(`${name}/#`)).toBe(0)
  }
  expect(Object.hasOwn(Object.prototype, 'qos')).toBe(false)
}, 60_000)

test('shared subscriptions are refused, with 0x9E on MQTT 5', async () => {
  await using world = await EngineWorld.start()
  const shared = { shareName: 'g', filter: 't' }
  const options = {
    filter: '$share/g/t',
    shared,
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
  } as const
  expect(await world.device('bob/phone').link.subscribe(options)).toBe(0x9e)
  expect(await world.device('eve/phone', { version: 4 }).link.subscribe(options)).toBe(0x80)
})

test("nobody reaches the chat topics or another user's space through the engine, whatever the gate let pass", async () => {
  await using world = await EngineWorld.start()
  const alice = world.device('alice/phone')
  await alice.publish('u/alice/own/secret', 'retained', { retain: true })
  const eve = world.device('eve/phone')
  const open = world.device('any')
  for (const filter of ['u/alice/own/#', 'u/alice/inbox', 'u/#', 'u/+/own/#', 'u', '$SYS/#', '$share']) {
    expect(await eve.subscribe(filter, 1)).toBe(0x87)
    expect(await open.subscribe(filter, 1)).toBe(0x87)
  }
  for (const topic of ['u/alice/own/x', 'u/eve/inbox', 'u/eve/own', 'u', '$SYS/x']) {
    expect(await eve.publish(topic, 'x')).toMatchObject({ code: 'topic_denied' })
  }
  // A wildcard is granted, and does not stand for what is not the client's.
  for (const device of [eve, open]) {
    for (const filter of ['#', '+/+/+/secret', '+/alice/#']) expect(await device.subscribe(filter, 1)).toBe(1)
  }
  await alice.publish('u/alice/own/secret', 'live', { qos: 2 })
  await eve.publish('u/eve/own/mine', 'mine')
  await alice.publish('end', 'end')
  await vi.waitFor(() => expect(open.texts).toEqual(['end']))
  await vi.waitFor(() => expect(eve.texts).toEqual(['mine', 'end']))
})

test('topics and filters of more levels than the engine takes are refused', async () => {
  await using world = await EngineWorld.start()
  const bob = world.device('bob/phone')
  const deep = (levels: number) => Array(levels).fill('a').join('/')
  expect(await bob.subscribe(deep(101), 1)).toBe(0x8f)
  expect(await bob.publish(deep(60_000), 'x', { retain: true })).toMatchObject({ code: 'topic_denied' })
  expect(await bob.subscribe(deep(100), 1)).toBe(1)
  expect(await bob.publish(deep(100), 'x', { retain: true })).toBeNull()
  await vi.waitFor(() => expect(bob.received).toHaveLength(1))
})

test('a device that hands in more than it waits for is cut, and a full index of retained topics refuses new ones only', async () => {
  await using world = await EngineWorld.start({ retainedIndexBytesMax: 2000 })
  const eager = world.device('bob/phone')
  for (let i = 0; i < 2001; i++) void eager.publish('t', 'x')
  expect(eager.closed).toBe('overload')
  const alice = world.device('alice/phone')
  const refusals = []
  for (let i = 0; i < 10; i++) refusals.push(await alice.publish(`t/${i}`, 'x', { retain: true }))
  expect(refusals[0]).toBeNull()
  expect(refusals.at(-1)).toMatchObject({ code: 'busy' })
  expect(await alice.publish('t/0', 'y', { retain: true })).toBeNull()
  expect(await alice.publish('t/9', 'y')).toBeNull()
})

test('devices that come and go in the middle of everything leave the engine as it was', async () => {
  await using world = await EngineWorld.start()
  const alice = world.device('alice/phone')
  const leaving: Promise<void>[] = []
  for (let i = 0; i < 100; i++) {
    const device = world.device(`bob/${i % 10}`, {
      version: i % 2 === 0 ? 4 : 5,
      sessionExpirySeconds: i % 3,
      isSilent: true,
    })
    void device.subscribe('t/#', 2)
    void device.publish('t/1', 'x', { qos: (i % 3) as 0 | 1 | 2, retain: i % 7 === 0 })
    void device.link.unsubscribe('t/#')
    if (i % 4 === 0) await new Promise((resolve) => setImmediate(resolve))
    leaving.push(device.detach(i % 2 === 0))
  }
  await Promise.all(leaving)
  expect(world.engine.metrics).toMatchObject({ attached: 1, delayedWills: 0 })
  expect(await alice.publish('t/1', 'x', { qos: 2 })).toBeNull()
  expect(world.engine.metrics.publishing).toBe(0)
})

test('a receiver that fails is cut alone', async () => {
  await using world = await EngineWorld.start()
  const failing = world.device('bob/phone', { cleanStart: true, sessionExpirySeconds: 0 })
  const other = world.device('eve/phone')
  for (const device of [failing, other]) await device.subscribe('t', 1)
  failing.received.push = () => {
    throw new Error('the gate failed')
  }
  const alice = world.device('alice/phone')
  expect(await alice.publish('t', 'x')).toBeNull()
  expect(await alice.publish('t', 'y')).toBeNull()
  expect(failing.closed).toBe('engine')
  await vi.waitFor(() => expect(other.texts).toEqual(['x', 'y']))
})
