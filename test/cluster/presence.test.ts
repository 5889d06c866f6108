/** What is live between nodes: over Redis, over the processes of one machine, and when a node dies. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LogId, UserId } from '../../protocol/ids.ts'
import { isKnownKey, Keys } from '../../services/redis/keys.ts'
import { Device } from '../harness/device.ts'
import { LiveEvents } from '../harness/live-events.ts'
import { befriend, directLog, makeGroup } from '../harness/people.ts'
import { startRedis } from '../harness/redis.ts'
import { sharedServer, startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'
import { BusNode, claimOf, newPrefix } from './bus-node.ts'
import { connectApart } from './workers-harness.ts'

const bob = 'bob' as UserId
const group = 'g:friends' as LogId

describe('the bus over Redis', () => {
  let redis: Awaited<ReturnType<typeof startRedis>>
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(async () => redis[Symbol.asyncDispose]())

  async function startNodes(prefix = newPrefix()): Promise<[BusNode, BusNode, BusNode] & AsyncDisposable> {
    const nodes = await Promise.all(
      ['n0', 'n1', 'n2'].map((name) => BusNode.start({ url: redis.url, prefix, name })),
    )
    for (const { bus } of nodes)
      await until(() => bus.doorbells.liveNodes().length === 3, 'all nodes to be known')
    const close = () => Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
    return Object.assign(nodes as [BusNode, BusNode, BusNode], {
      [Symbol.asyncDispose]: async () => void (await close()),
    })
  }

  test('a signal reaches the other nodes of a person, or those that watch a group, and starts no catch-up', async () => {
    await using nodes = await startNodes()
    const [a, b, c] = nodes
    await b.bus.claim(claimOf('bob/phone'))
    await Promise.all([a.bus.watch(group), c.bus.watch(group)])
    a.bus.signal({ uid: bob }, Buffer.from('to bob'))
    a.bus.signal({ group }, Buffer.from('to friends'))
    await until(() => b.heard.length > 0 && c.heard.length > 0, 'both to hear')
    expect(nodes.map(({ heard }) => heard)).toEqual([[], ['signal to bob'], ['signal to friends']])
    expect(nodes.map(({ losses }) => losses)).toEqual([0, 0, 0])
    expect(a.bus.signals).toEqual({ sent: 2, dropped: 0 })
  })

  test('a node that follows a person hears each change of another node; the keys are in the table and have a life', async () => {
    const prefix = newPrefix()
    await using nodes = await startNodes(prefix)
    const [a, b, c] = nodes
    a.bus.presence.put(bob, 'online', 1000)
    await until(async () => (await c.bus.presence.read([bob]))[0]!.length === 1, 'what is there')
    expect((await b.bus.presence.follow([bob]))[0]).toMatchObject([{ state: 'online', at: 1000 }])
    a.bus.presence.put(bob, 'away', 2000)
    await until(() => b.heard.length === 1, 'the change')
    expect((await c.bus.presence.read([bob, 'eve' as UserId]))[0]).toMatchObject([
      { state: 'away', at: 2000 },
    ])
    const key = new Keys(prefix).presence(bob)
    expect(isKnownKey(prefix, key)).toBe(true)
    expect(Number(await redis.server.call('PTTL', key))).toBeGreaterThan(0)
    a.bus.presence.put(bob, 'gone', 3000)
    await until(() => b.heard.length === 2, 'the end')
    expect(b.heard).toEqual(['presence bob n0 away', 'presence bob n0 gone'])
    b.bus.presence.unfollow([bob])
    await until(async () => Number(await redis.server.call('EXISTS', key)) === 0, 'nothing to be left')
    expect(c.heard).toEqual([])
  })

  test('what Redis lost or did not take is written again', async () => {
    await using own = await startRedis()
    const prefix = newPrefix()
    await using a = await BusNode.start({ url: own.url, prefix, name: 'a' })
    await using b = await BusNode.start({ url: own.url, prefix, name: 'b' })
    a.bus.presence.put(bob, 'online', 1000)
    await until(async () => (await b.bus.presence.read([bob]))[0]!.length === 1, 'the part')
    await own.server.kill9()
    await until(() => !a.client.isReady, 'Redis to be missed')
    a.bus.presence.put(bob, 'away', 2000)
    a.bus.signal({ uid: bob }, Buffer.from('lost'))
    expect(a.bus.signals.dropped).toBe(1)
    expect(await a.bus.presence.read([bob])).toEqual([[]])
    await own.server.start()
    await until(
      async () => (await b.bus.presence.read([bob]))[0]![0]?.state === 'away',
      'the part to be written again',
    )
  })
})

/** Two friends and a group, the first on one node and the second on another. */
async function makeFriends(server: TestServer): Promise<string> {
  await befriend(server, 'alice', 'bob')
  return makeGroup(server, 'alice', ['bob'])
}

async function expectLiveBetween(alice: Device, other: Device, group: string): Promise<void> {
  const [ofAlice, ofBob] = await Promise.all([alice, other].map((device) => LiveEvents.follow(device)))
  const log = directLog('alice', 'bob')
  ofAlice!.signal({ kind: 'typing', to: 'bob' })
  expect(await ofBob!.next('typing')).toEqual({ kind: 'typing', from: 'alice', log })
  ofAlice!.signal({ kind: 'typing', to: group })
  expect(await ofBob!.next('typing', (event) => event.log === group)).toMatchObject({ from: 'alice' })
  const { seq } = await alice.send({ id: 'm1', to: 'bob', text: 'Hello!' })
  expect(await ofAlice!.next('delivered')).toMatchObject({ from: 'bob', log, seq })
  await other.call('conversations.read', { log, seq }, 'read')
  expect(await ofAlice!.next('read')).toEqual({ kind: 'read', from: 'bob', log, seq })
  alice.publishSend(JSON.stringify({ id: 't1', to: group, text: 'psst', transient: true }))
  expect(await ofBob!.next('message')).toMatchObject({ transient: true, log: group, body: { text: 'psst' } })
  await alice.settle()
  expect(ofAlice!.events.map(({ kind }) => kind)).toEqual(['delivered', 'read'])
}

async function expectRoomBetween(server: TestServer, stage: Device, fan: Device): Promise<void> {
  const params = { name: 'stage', keepsEntries: false }
  const { id } = await server.http<{ id: string }>('rooms.create', params, server.token(stage.uid, null))
  const live = await LiveEvents.follow(fan)
  await fan.call('rooms.join', { id }, 'join')
  stage.publishSend(JSON.stringify({ id: 'r1', to: id, text: 'Hello!', transient: true }))
  expect(await live.next('message', (event) => event.log === id)).toMatchObject({ from: stage.uid })
}

describe('three nodes', () => {
  const env = { WOCHAT_OFFLINE_DELAY_MS: '500', WOCHAT_NODE_LEASE_MS: '5000' }

  test('tell each other what is live; the devices of one that dies are offline after its lease', async () => {
    await using server = await startServer({ env, nodes: [{}, {}, {}] })
    const group = await makeFriends(server)
    server.serveFrom(0)
    using alice = await Device.connect(server, 'alice', 'phone')
    server.serveFrom(1)
    const phone = await Device.connect(server, 'bob', 'phone')
    server.serveFrom(0, 2)
    await expectLiveBetween(alice, phone, group)
    await expectRoomBetween(server, phone, alice)
    const live = await LiveEvents.follow(alice)
    const watched = await alice.call('presence.watch', { uids: ['bob'] }, 'watch')
    expect(watched.result).toMatchObject({ people: [{ uid: 'bob', state: 'online' }] })
    const ask = () =>
      server.http<{ people: { state: string }[] }>(
        'presence.get',
        { uids: ['bob'] },
        server.token('alice', null),
      )
    expect((await ask()).people).toMatchObject([{ state: 'online' }])
    ;(await LiveEvents.follow(phone)).signal({ kind: 'background' })
    await live.next('presence', ({ state }) => state === 'away')
    await server.nodes[1]!.kill9()
    await live.next('presence', ({ state }) => state === 'offline')
    for (const node of [0, 2]) {
      server.serveFrom(node)
      // Each node notices by itself.
      await until(async () => (await ask()).people[0]!.state === 'offline', `node ${node} to know`)
    }
    using _ = await Device.connect(server, 'bob', 'phone')
    await live.next('presence', ({ state }) => state === 'online')
    expect(live.ofKind('presence').map(({ state }) => state)).toEqual(['away', 'offline', 'online'])
  }, 120_000)
})

describe('two workers', () => {
  const server = sharedServer({ env: { WOCHAT_WORKERS: '2', WOCHAT_OFFLINE_DELAY_MS: '300' }, alone: true })

  test('tell each other what is live, through the primary', async () => {
    const group = await makeFriends(server)
    const [alice, other] = await connectApart(server, 'alice', 'bob')
    await expectLiveBetween(alice, other, group)
    await expectRoomBetween(server, other, alice)
    const live = await LiveEvents.follow(alice)
    const watched = await alice.call('presence.watch', { uids: ['bob'] }, 'watch')
    expect(watched.result).toMatchObject({ people: [{ uid: 'bob', state: 'online' }] })
    other.cut()
    await live.next('presence', ({ state }) => state === 'offline')
    alice.cut()
  }, 60_000)
})
