import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { PlainDevice } from '../../broker/engine/testing/plain-device.ts'
import { inPostgres, inSqlite, type PlainNode, PlainNodes } from './plain-nodes.ts'

const WAIT = { timeout: 20_000, interval: 20 }
const START_MS = 90_000
const CLEAN = { cleanStart: true, sessionExpirySeconds: 0 }

const numbers = (count: number, prefix = 'm') => Array.from({ length: count }, (_, i) => `${prefix} ${i}`)

async function publishAll(
  from: PlainDevice,
  topic: string,
  texts: string[],
  qos: 0 | 1 | 2 = 1,
): Promise<void> {
  const refusals = await Promise.all(
    texts.map(async (text) => {
      const refusal = await from.publish(topic, text, { qos })
      return refusal
    }),
  )
  expect(refusals.filter((refusal) => refusal !== null)).toEqual([])
}

describe.each([
  ['PostgreSQL', inPostgres],
  ['one SQLite store', inSqlite],
])('two engines around %s', { timeout: 60_000 }, (_name, open) => {
  let world: PlainNodes
  beforeEach(async () => {
    world = await PlainNodes.start(open, 2)
  }, START_MS)
  afterEach(() => world[Symbol.asyncDispose]())

  describe('messages between nodes', () => {
    test('200 group and 200 direct messages of two nodes reach one member in order, live', async () => {
      const [a, b] = world.nodes as [PlainNode, PlainNode]
      const bob = b.device('bob/phone')
      const clean = b.device('bob/web', CLEAN)
      for (const device of [bob, clean]) {
        await device.subscribe('groups/1', 1)
        await device.subscribe('people/bob', 1)
      }
      const [alice, eve] = [a.device('alice/phone'), a.device('eve/phone')]
      await Promise.all([
        publishAll(alice, 'groups/1', numbers(200, 'group')),
        publishAll(eve, 'people/bob', numbers(200, 'direct')),
      ])
      for (const device of [bob, clean]) {
        await vi.waitFor(() => expect(device.received).toHaveLength(400), WAIT)
        expect(device.texts.filter((text) => text.startsWith('group'))).toEqual(numbers(200, 'group'))
        expect(device.texts.filter((text) => text.startsWith('direct'))).toEqual(numbers(200, 'direct'))
      }
    })

    test('a stored session gets the messages of both nodes once each, in one order of the queue, with none overtaken', async () => {
      const [a, b] = world.nodes
      const bob = b!.device('bob/phone', { window: 5 })
      await bob.subscribe('t', 2)
      const [alice, eve] = [a!.device('alice/phone'), b!.device('eve/phone')]
      await Promise.all([
        publishAll(alice, 't', numbers(300, 'far')),
        publishAll(eve, 't', numbers(300, 'near')),
      ])
      await vi.waitFor(() => expect(bob.received).toHaveLength(600), WAIT)
      expect(bob.texts.filter((text) => text.startsWith('far'))).toEqual(numbers(300, 'far'))
      expect(bob.texts.filter((text) => text.startsWith('near'))).toEqual(numbers(300, 'near'))
      expect(bob.inflightMax).toBeLessThanOrEqual(5)
    })

    test('a message after a SUBACK on another node never misses the stored subscription', async () => {
      const [a, b] = world.nodes
      const alice = a!.device('alice/phone')
      await alice.link.ready
      for (let i = 0; i < 30; i++) {
        const bob = b!.device(`bob/d${i}`)
        await bob.subscribe(`t/${i}`, 1)
        await bob.detach()
        expect(await alice.publish(`t/${i}`, 'x')).toBeNull()
        const again = a!.device(`bob/d${i}`)
        await vi.waitFor(() => expect(again.texts).toEqual(['x']), WAIT)
        await again.detach()
      }
    })

    test('5,000 wait for a session, and are drained on another node before live ones', async () => {
      const [a, b] = world.nodes
      const before = b!.device('bob/phone')
      await before.subscribe('t', 1)
      await before.detach()
      const alice = a!.device('alice/phone')
      await alice.publish('begin', '')
      await publishAll(alice, 't', numbers(5000))
      const bob = b!.device('bob/phone')
      await publishAll(alice, 't', numbers(100, 'live'))
      await vi.waitFor(() => expect(bob.received).toHaveLength(5100), { ...WAIT, timeout: 60_000 })
      expect(bob.texts).toEqual([...numbers(5000), ...numbers(100, 'live')])
    }, 120_000)

    test('QoS 0 reaches devices on both nodes, and only nodes of the user hear of the own space', async () => {
      const [a, b] = world.nodes
      const far = b!.device('alice/tablet')
      await far.subscribe('u/alice/own/#', 0)
      const alice = a!.device('alice/phone')
      await publishAll(alice, 'u/alice/own/x', ['0'], 0)
      await publishAll(alice, 'u/alice/own/x', ['1'], 1)
      await vi.waitFor(() => expect(far.texts).toEqual(['0', '1']), WAIT)
      expect(a!.sent.map(({ uid }) => uid)).toEqual(['alice', 'alice'])
    })

    test('what the bus loses is still in the queues, and is read when it tells', async () => {
      const [a, b] = world.nodes
      const bob = b!.device('bob/phone')
      const clean = b!.device('bob/web', CLEAN)
      for (const device of [bob, clean]) await device.subscribe('t', 1)
      world.isLossy = true
      await publishAll(a!.device('alice/phone'), 't', numbers(10))
      world.isLossy = false
      expect(bob.texts).toEqual([])
      b!.engine.doorbellsLost()
      await vi.waitFor(() => expect(bob.texts).toEqual(numbers(10)), WAIT)
      expect(clean.texts).toEqual([])
    })

    test('a frame that cannot be read changes nothing', () => {
      for (const frame of [Buffer.alloc(0), Buffer.from([9, 1]), Buffer.from([1, 0, 0, 0, 9, 1])]) {
        world.nodes[0]!.engine.plainReceived(frame)
      }
    })
  })

  describe('sessions that move', () => {
    test('a session continues on another node: what was not acknowledged comes again with its packet id', async () => {
      const [a, b] = world.nodes
      const alice = a!.device('alice/phone')
      const before = a!.device('bob/phone', { isSilent: true, window: 3 })
      await before.subscribe('t', 2)
      await publishAll(alice, 't', numbers(5))
      await vi.waitFor(() => expect(before.received).toHaveLength(3), WAIT)
      await before.detach()
      const bob = b!.device('bob/phone')
      await vi.waitFor(() => expect(bob.texts).toEqual(numbers(5)), WAIT)
      expect(bob.received.slice(0, 3).map(({ packetId, dup }) => [packetId, dup])).toEqual(
        before.received.map(({ packetId }) => [packetId, true]),
      )
    })

    test('a QoS 2 PUBLISH that is repeated on another node is routed once', async () => {
      const [a, b] = world.nodes
      const bob = b!.device('bob/phone')
      await bob.subscribe('t', 2)
      const before = a!.device('alice/phone')
      expect(await before.publish('t', 'x', { qos: 2, packetId: 7 })).toBeNull()
      await before.detach()
      const alice = b!.device('alice/phone')
      expect(await alice.publish('t', 'x', { qos: 2, packetId: 7 })).toBeNull()
      alice.link.pubrel(7)
      await vi.waitFor(() => expect(alice.pubcomps).toEqual([[7, 0]]), WAIT)
      expect(await alice.publish('t', 'end', { qos: 2, packetId: 7 })).toBeNull()
      await vi.waitFor(() => expect(bob.texts).toEqual(['x', 'end']), WAIT)
    })

    test('a connection that was taken over without knowing settles, sends, subscribes and releases nothing', async () => {
      const [a, b] = world.nodes
      const stale = a!.device('bob/phone', { isSilent: true, window: 1 })
      await stale.subscribe('t', 1)
      await publishAll(a!.device('alice/phone'), 't', numbers(2))
      await vi.waitFor(() => expect(stale.received).toHaveLength(1), WAIT)
      expect(await stale.publish('t2', 'x', { qos: 2, packetId: 5 })).toBeNull()
      const bob = b!.device('bob/phone', { isSilent: true })
      await vi.waitFor(() => expect(bob.received).toHaveLength(2), WAIT)

      stale.link.pubrel(5)
      stale.link.puback(stale.received[0]!.packetId)
      await vi.waitFor(() => expect(stale.closed).toBe('takenOver'), WAIT)
      expect(stale.pubcomps).toEqual([])
      const later = a!.device('bob/phone')
      await vi.waitFor(() => expect(later.texts).toEqual(numbers(2)), WAIT)
      expect(later.received.map(({ dup }) => dup)).toEqual([true, true])
      later.link.pubrel(5)
      await vi.waitFor(() => expect(later.pubcomps).toEqual([[5, 0]]), WAIT)
    })

    test('a live message for a session that a stale connection still believes to have waits for the new one', async () => {
      const [a, b] = world.nodes
      const stale = a!.device('bob/phone', { isSilent: true })
      await stale.subscribe('t', 1)
      const bob = b!.device('bob/phone')
      await bob.link.ready
      await publishAll(a!.device('alice/phone'), 't', numbers(20))
      await vi.waitFor(() => expect(bob.texts).toEqual(numbers(20)), WAIT)
      await vi.waitFor(() => expect(stale.closed).toBe('takenOver'), WAIT)
      expect(stale.received).toEqual([])
    })

    test('a session that a stale connection subscribes with does not get the subscription', async () => {
      const [a, b] = world.nodes
      const stale = a!.device('bob/phone')
      await stale.subscribe('first', 1)
      await stale.publish('first', 'x')
      await vi.waitFor(() => expect(stale.texts).toEqual(['x']), WAIT)
      const bob = b!.device('bob/phone')
      await bob.link.ready
      expect(await stale.subscribe('t', 1)).toBeGreaterThanOrEqual(0x80)
      expect(stale.closed).toBe('takenOver')
      expect(stale.closed).toBe('takenOver')
      expect(await bob.subscribe('t', 1)).toBe(1)
    })
  })

  describe('retained messages', () => {
    test('are given at SUBSCRIBE on any node, as they are now', async () => {
      const [a, b] = world.nodes
      const alice = a!.device('alice/phone')
      for (let i = 0; i < 10; i++) await alice.publish(`t/${i}`, `old`, { retain: true })
      for (let i = 0; i < 10; i++) await alice.publish(`t/${i}`, i < 5 ? 'new' : '', { retain: true })
      const bob = b!.device('bob/phone')
      await bob.subscribe('t/#', 1)
      await vi.waitFor(() => expect(bob.texts).toEqual(Array(5).fill('new')), WAIT)
      const clean = b!.device('bob/web', CLEAN)
      await clean.subscribe('t/#', 1)
      await vi.waitFor(() => expect(clean.texts).toEqual(Array(5).fill('new')), WAIT)
    })
  })

  describe('wills', () => {
    const WILL = {
      topic: 'wills',
      payload: Buffer.from('gone'),
      qos: 1 as const,
      retain: false,
      properties: {},
    }
    const DELAYED = { ...WILL, properties: { willDelayInterval: 1 } }
    const willsOf = (node: PlainNode) => node.store.pagePlainWills({ after: '', entriesMax: 100 })

    /** Publishes a last message to the wills' topic from `node`: whatever that published before has come too. */
    async function endOf(watcher: PlainDevice, node: PlainNode): Promise<void> {
      const end = `end of ${node.name}`
      await node.device(`eve/${end}`).publish('wills', end)
      await vi.waitFor(() => expect(watcher.texts.at(-1)).toBe(end), WAIT)
    }

    test('of a node that dies are published by exactly one of those that live', async () => {
      const third = await world.add('node-2')
      const [a, b] = world.nodes
      const watcher = a!.device('eve/phone')
      await watcher.subscribe('wills', 1)
      for (let i = 0; i < 20; i++) await third.device(`bob/d${i}`, { will: WILL }).link.ready
      world.abandon(third)
      await Promise.all([a!, b!].map(({ engine }) => engine.nodeGone(third.name)))
      await vi.waitFor(() => expect(watcher.texts).toHaveLength(20), WAIT)
      await world.dueWillsFound()
      for (const node of [a!, b!]) await endOf(watcher, node)
      expect(watcher.texts).toEqual([...Array(20).fill('gone'), 'end of node-0', 'end of node-1'])
    })

    test('of nodes that died before are found by a node that starts', async () => {
      const [a, b] = world.nodes
      await b!.device('bob/phone', { will: WILL }).link.ready
      const watcher = a!.device('eve/phone')
      await watcher.subscribe('wills', 1)
      world.abandon(b!)
      await a!.engine.nodesAlive([a!.name, b!.name])
      expect(await willsOf(a!)).toMatchObject([{ clientId: 'bob/phone', publishAt: null }])
      expect(watcher.texts).toEqual([])
      await a!.engine.nodesAlive([a!.name])
      await vi.waitFor(() => expect(watcher.texts).toEqual(['gone']), WAIT)
    })

    test('a delayed will is cancelled by a device that is back on another node, and published once if it is not', async () => {
      const [a, b] = world.nodes
      const watcher = a!.device('eve/phone')
      await watcher.subscribe('wills', 1)
      const lost = a!.device('bob/phone', { will: DELAYED })
      await lost.link.ready
      await lost.detach(true)
      const back = b!.device('bob/phone', { will: { ...DELAYED, payload: Buffer.from('second') } })
      await back.link.ready
      await vi.waitFor(() => expect(a!.engine.metrics.delayedWills).toBe(0), WAIT)
      await endOf(watcher, a!)
      expect(watcher.texts).toEqual(['end of node-0'])
      await back.detach(true)
      await vi.waitFor(() => expect(watcher.texts).toEqual(['end of node-0', 'second']), WAIT)
      expect(await willsOf(a!)).toEqual([])
      await endOf(watcher, b!)
      expect(watcher.texts).toEqual(['end of node-0', 'second', 'end of node-1'])
    })

    test('the delay of a node that died runs, and the end of the session ends it', async () => {
      const [a, b] = world.nodes
      const watcher = a!.device('eve/phone')
      await watcher.subscribe('wills', 1)
      const long = { ...WILL, properties: { willDelayInterval: 1000 } }
      await b!.device('bob/phone', { will: long }).link.ready
      world.abandon(b!)
      await a!.engine.nodeGone(b!.name)
      await world.dueWillsFound()
      await endOf(watcher, a!)
      expect(watcher.texts).toEqual(['end of node-0'])
      await a!.store.endPlainSession({ clientId: 'bob/phone', generation: null })
      await vi.waitFor(() => expect(watcher.texts).toEqual(['end of node-0', 'gone']), WAIT)
    })
  })
})
