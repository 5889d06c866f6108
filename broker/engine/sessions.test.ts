import { expect, test, vi } from 'vitest'
import { EngineWorld } from './testing/engine-world.ts'
import type { PlainDevice } from './testing/plain-device.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${from + i}`)

/** As many at a time as the gate would let through. */
const PIPELINED = 500

async function publishAll(device: PlainDevice, topic: string, texts: string[]): Promise<void> {
  for (let i = 0; i < texts.length; i += PIPELINED) {
    const refusals = await Promise.all(
      texts.slice(i, i + PIPELINED).map((text) => device.publish(topic, text)),
    )
    expect(refusals.filter((refusal) => refusal !== null)).toEqual([])
  }
}

test('5,000 messages for a device that is away come in order over a restart, before those published meanwhile, within the window', async () => {
  await using world = await EngineWorld.start()
  const away = world.device('bob/phone')
  expect(await away.subscribe('t/#', 1)).toBe(1)
  expect(await away.subscribe('other', 2)).toBe(2)
  await away.detach()
  await publishAll(world.device('alice/phone'), 't/1', numbers(0, 5000))
  await world.restart()

  const bob = world.device('bob/phone', { window: 16 })
  await bob.link.ready
  const alice = world.device('alice/phone')
  await publishAll(alice, 't/1', numbers(5000, 5500))
  await vi.waitFor(() => expect(bob.received).toHaveLength(5500), 20_000)
  await publishAll(alice, 't/1', numbers(5500, 5600))
  await vi.waitFor(() => expect(bob.received).toHaveLength(5600))
  expect(bob.texts).toEqual(numbers(0, 5600))
  expect(bob.inflightMax).toBeLessThanOrEqual(16)
  expect(bob.received.every(({ dup }) => !dup)).toBe(true)
})

test('a live device that is slow falls back to its queue and gets all in order', async () => {
  await using world = await EngineWorld.start()
  const bob = world.device('bob/phone', { window: 5, isSilent: true })
  await bob.subscribe('t', 1)
  const alice = world.device('alice/phone')
  await alice.link.ready
  let acknowledged = 0
  for (let i = 0; i < 400; i += 20) {
    await publishAll(alice, 't', numbers(i, i + 20))
    // Now and then it catches up, so that the queue changes between live and behind.
    for (let n = 0; n < (i % 100 === 0 ? 1000 : 10); n++) {
      await new Promise((resolve) => setImmediate(resolve))
      const next = bob.received[acknowledged]
      if (next === undefined) continue
      acknowledged++
      bob.link.puback(next.packetId)
    }
  }
  await vi.waitFor(() => {
    for (; acknowledged < bob.received.length; acknowledged++)
      bob.link.puback(bob.received[acknowledged]!.packetId)
    expect(bob.received).toHaveLength(400)
  }, 10_000)
  expect(bob.texts).toEqual(numbers(0, 400))
  expect(bob.inflightMax).toBeLessThanOrEqual(5)
})

test('what was not acknowledged comes again first, with its packet id and DUP, in order, over a reconnect and a restart', async () => {
  await using world = await EngineWorld.start()
  const bob = world.device('bob/phone', { isSilent: true, window: 10 })
  await bob.subscribe('t', 1)
  await publishAll(world.device('alice/phone'), 't', numbers(0, 20))
  await vi.waitFor(() => expect(bob.received).toHaveLength(10))
  for (const delivery of bob.received.slice(0, 4)) bob.link.puback(delivery.packetId)
  await vi.waitFor(() => expect(bob.received).toHaveLength(14))
  const unacknowledged = bob.received.slice(4).map(({ packetId, payload }) => [packetId, payload.toString()])
  await bob.detach()

  for (const restart of [false, true]) {
    if (restart) await world.restart()
    // A smaller Receive Maximum holds the repetitions back, too.
    const again = world.device('bob/phone', { isSilent: true, window: 3 })
    await vi.waitFor(() => expect(again.received).toHaveLength(3))
    expect(again.received.every(({ dup }) => dup)).toBe(true)
    expect(again.received.map(({ packetId, payload }) => [packetId, payload.toString()])).toEqual(
      unacknowledged.slice(0, 3),
    )
    await again.detach()
  }
  const last = world.device('bob/phone')
  await vi.waitFor(() => expect(last.texts).toEqual(numbers(4, 20)))
  expect(last.received.map(({ dup }) => dup)).toEqual([...Array(10).fill(true), ...Array(6).fill(false)])
  expect(last.received.slice(0, 10).map(({ packetId }) => packetId)).toEqual(unacknowledged.map(([id]) => id))
})

test('a clean start ends what was stored, and a session of expiry 0 leaves nothing', async () => {
  await using world = await EngineWorld.start()
  const alice = world.device('alice/phone')
  const bob = world.device('bob/phone')
  await bob.subscribe('t', 1)
  await bob.detach()
  await publishAll(alice, 't', ['lost'])
  const clean = world.device('bob/phone', { cleanStart: true, sessionExpirySeconds: 0 })
  await clean.subscribe('t', 1)
  await publishAll(alice, 't', ['live'])
  await vi.waitFor(() => expect(clean.texts).toEqual(['live']))
  await clean.detach()
  expect(world.engine.hasSession('bob/phone')).toBe(false)
  await publishAll(alice, 't', ['nobody'])
  await world.restart()
  const again = world.device('bob/phone')
  await publishAll(world.device('alice/phone'), 't', ['nobody'])
  await again.subscribe('end')
  await again.publish('end', 'end')
  await vi.waitFor(() => expect(again.texts).toEqual(['end']))
})

test('an MQTT 5 session that is resumed with expiry 0 gets what waited, and then ends', async () => {
  await using world = await EngineWorld.start()
  const bob = world.device('bob/phone')
  await bob.subscribe('t', 1)
  await bob.detach()
  await publishAll(world.device('alice/phone'), 't', ['waited'])
  const last = world.device('bob/phone', { sessionExpirySeconds: 0 })
  await vi.waitFor(() => expect(last.texts).toEqual(['waited']))
  await last.detach()
  expect(world.engine.hasSession('bob/phone')).toBe(false)
})

test('an MQTT 5 session without activity keeps its queue: only the gate ends it', async () => {
  await using world = await EngineWorld.start()
  const bob = world.device('bob/phone', { sessionExpirySeconds: 1 })
  await bob.subscribe('t', 1)
  await bob.detach()
  const other = world.device('any id', { sessionExpirySeconds: 1, endsByTime: true })
  await other.subscribe('t', 1)
  await other.detach()
  await vi.waitFor(() => expect(world.engine.hasSession('any id')).toBe(false), 5000)
  const alice = world.device('alice/phone')
  await publishAll(alice, 't', ['kept'])
  const again = world.device('bob/phone')
  await vi.waitFor(() => expect(again.texts).toEqual(['kept']))
  await again.detach()
  await world.engine.endSession('bob/phone')
  expect(world.engine.hasSession('bob/phone')).toBe(false)
  await publishAll(alice, 't', ['after'])
  const fresh = world.device('bob/phone')
  await fresh.link.ready
  expect(fresh.received).toEqual([])
})

test('in the open profile the engine itself ends a session when its expiry is over', async () => {
  await using world = await EngineWorld.start()
  const bob = world.device('any id', { sessionExpirySeconds: 1, endsByTime: true })
  await bob.subscribe('t', 1)
  await bob.detach()
  expect(world.engine.hasSession('any id')).toBe(true)
  await vi.waitFor(() => expect(world.engine.hasSession('any id')).toBe(false), 5000)
})

test('the same client attached twice: the first is taken over, and the session goes on without a gap', async () => {
  await using world = await EngineWorld.start()
  const alice = world.device('alice/phone')
  const devices = [world.device('bob/phone')]
  await devices[0]!.subscribe('t', 1)
  let published = 0
  for (let i = 0; i < 20; i++) {
    await publishAll(alice, 't', numbers(published, published + 10))
    published += 10
    devices.push(world.device('bob/phone', i % 3 === 0 ? { version: 4 } : {}))
  }
  await vi.waitFor(() => {
    const seen = new Set(devices.flatMap((device) => device.texts))
    expect(seen.size).toBe(published)
  }, 10_000)
  expect(devices.slice(0, -1).map(({ closed }) => closed)).toEqual(Array(20).fill('takenOver'))
})

test('a session whose rows were ended in the store by another way is forgotten at the next message for it', async () => {
  await using world = await EngineWorld.start()
  const bob = world.device('bob/phone')
  await bob.subscribe('t', 1)
  await bob.detach()
  await world.store.endPlainSession({ clientId: 'bob/phone', generation: null })
  await publishAll(world.device('alice/phone'), 't', ['nobody'])
  expect(world.engine.hasSession('bob/phone')).toBe(false)
})

test('a queue that is full keeps the oldest messages and counts what it could not keep', async () => {
  await using world = await EngineWorld.start({ queuedMessagesMax: 10 })
  const bob = world.device('bob/phone')
  await bob.subscribe('t', 1)
  await bob.detach()
  await publishAll(world.device('alice/phone'), 't', numbers(0, 15))
  expect(world.engine.metrics.dropped).toBe(5)
  const again = world.device('bob/phone')
  await vi.waitFor(() => expect(again.texts).toEqual(numbers(0, 10)))
})

test('subscriptions of a session are bounded', async () => {
  await using world = await EngineWorld.start({ subscriptionsMax: 3 })
  const bob = world.device('bob/phone')
  const codes = []
  for (let i = 0; i < 5; i++) codes.push(await bob.subscribe(`t/${i}`, 1))
  expect(codes).toEqual([1, 1, 1, 0x97, 0x97])
  expect(await bob.subscribe('t/1', 2)).toBe(2)
})
