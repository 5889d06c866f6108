/** The bus over a real Redis: nodes, routes, doorbells and questions when nothing fails. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeAwayError } from '../../broker/cluster/bus.ts'
import { ENTRY_BYTES_CARRIED_MAX, encodeFrame } from '../../broker/cluster/frame.ts'
import { WochatError } from '../../protocol/errors.ts'
import type { ClientId, DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import { isKnownKey, Keys } from '../../services/redis/keys.ts'
import { SharedRateLimiter } from '../../services/redis/shared-rate-limiter.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { until } from '../harness/wait.ts'
import { BusNode, claimOf, entryOf, newPrefix } from './bus-node.ts'
import { BusProcess } from './bus-process.ts'

let redis: Awaited<ReturnType<typeof startRedis>>
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(async () => redis[Symbol.asyncDispose]())

const bob = 'bob' as UserId
const group = 'g:friends' as LogId

async function startNodes(count: number, prefix = newPrefix()): Promise<BusNode[] & AsyncDisposable> {
  const names = Array.from({ length: count }, (_, i) => `n${i}`)
  const nodes = await Promise.all(names.map((name) => BusNode.start({ url: redis.url, prefix, name })))
  for (const { bus } of nodes)
    await until(() => bus.doorbells.liveNodes().length === count, 'all nodes to be known')
  return Object.assign(nodes, {
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
    },
  })
}

const listKeys = async (server: RedisServer, prefix: string) =>
  (await server.call('KEYS', `${prefix}:*`)) as string[]

test('nodes list each other; one that leaves is gone for all others at once, without a catch-up', async () => {
  await using nodes = await startNodes(3)
  const [a, b, c] = nodes as unknown as [BusNode, BusNode, BusNode]
  const listed = await a.bus.nodes()
  expect(listed.map(({ id }) => id).sort()).toEqual(nodes.map(({ bus }) => bus.node).sort())
  expect(listed[0]).toMatchObject({ name: 'n0', version: '1', roles: ['broker', 'fanout'], state: 'ready' })
  await c[Symbol.asyncDispose]()
  for (const node of [a, b]) await until(() => node.gone.includes(c.bus.node), 'the others to hear')
  expect([a.losses, b.losses]).toEqual([0, 0])
  expect(a.bus.doorbells.liveNodes()).toHaveLength(2)
})

test('the death of a node is noticed by each of the others soon after its lease, once, with a catch-up', async () => {
  const prefix = newPrefix()
  await using nodes = await startNodes(2, prefix)
  await using dying = await BusProcess.start({ url: redis.url, prefix, name: 'dying' })
  for (const { bus } of nodes) await until(() => bus.doorbells.liveNodes().length === 3, 'the third node')
  const losses = nodes.map((node) => node.losses)
  dying.signal('SIGKILL')
  const killedAt = performance.now()
  for (const node of nodes) await until(() => node.gone.length > 0, 'the death to be noticed')
  expect(performance.now() - killedAt).toBeLessThan(2000 + 1000 + 1500)
  expect(nodes.map(({ gone }) => gone)).toEqual([[dying.node], [dying.node]])
  for (const [i, node] of nodes.entries()) await until(() => node.losses > losses[i]!, 'a catch-up')
})

test('what a node commits and releases just before it goes still rings and is gone', async () => {
  const prefix = newPrefix()
  await using nodes = await startNodes(2, prefix)
  const [a, b] = nodes as unknown as [BusNode, BusNode]
  const phone = claimOf('alice/phone')
  await a.bus.claim(phone)
  await b.bus.claim(claimOf('bob/phone'))
  a.bus.outgoing.entryCommitted(entryOf('d:alice:bob', 1))
  a.bus.release(phone)
  await a[Symbol.asyncDispose]()
  await until(() => b.gone.length === 1, 'the node to be gone')
  expect([b.heard, b.losses]).toEqual([['d:alice:bob/1/{}'], 0])
  expect(await listKeys(redis.server, prefix)).not.toContain(new Keys(prefix).route('alice' as UserId))
})

test('of claims that race between nodes exactly one holds the device, and the others are told', async () => {
  await using nodes = await startNodes(3)
  const RACES = 300
  const outcomes = await Promise.all(
    Array.from({ length: RACES }, (_, i) =>
      Promise.all(nodes.map(({ bus }) => bus.claim(claimOf(`u${i}/phone`)))),
    ),
  )
  const isHolder = (node: number, race: number) =>
    outcomes[race]![node] === 'held' && !nodes[node]!.devicesLost.includes(`u${race}/phone`)
  const holders = (race: number) => nodes.map((_, i) => i).filter((i) => isHolder(i, race))
  const races = Array.from({ length: RACES }, (_, race) => race)
  await until(() => races.every((race) => holders(race).length === 1), 'one holder of each device')
  for (const race of races) {
    expect(await nodes[0]!.bus.devicesOf(`u${race}` as UserId)).toEqual([
      { device: 'phone', node: nodes[holders(race)[0]!]!.bus.node },
    ])
  }
})

test('of two claims to one session the higher generation holds it, whichever comes later', async () => {
  await using nodes = await startNodes(2)
  const [a, b] = nodes as unknown as [BusNode, BusNode]
  expect(await a.bus.claim(claimOf('s/phone', { session: 7, generation: 3 }))).toBe('held')
  expect(await b.bus.claim(claimOf('s/phone', { session: 7, generation: 2 }))).toBe('lost')
  expect(await b.bus.claim(claimOf('s/phone', { session: 7, generation: 4 }))).toBe('held')
  await until(() => a.devicesLost.includes('s/phone'), 'the lower generation to be told')
  expect(await a.bus.claim(claimOf('s/phone', { session: 8, generation: 1 }))).toBe('held')
})

test('a release takes away only what is still held by the same claim', async () => {
  await using nodes = await startNodes(2)
  const [a, b] = nodes as unknown as [BusNode, BusNode]
  const old = claimOf('r/phone')
  const other = claimOf('r/pc')
  await a.bus.claim(old)
  await a.bus.claim(other)
  await b.bus.claim(claimOf('r/phone'))
  a.bus.release(old)
  a.bus.release(other)
  await until(async () => (await a.bus.devicesOf('r' as UserId)).length === 1, 'the second device to go')
  expect(await a.bus.devicesOf('r' as UserId)).toEqual([{ device: 'phone', node: b.bus.node }])
})

test('a direct message rings the nodes of both people and no other, in the order of the commits', async () => {
  await using nodes = await startNodes(4)
  const [sender, ofAlice, ofBob, stranger] = nodes as unknown as [BusNode, BusNode, BusNode, BusNode]
  await sender.bus.claim(claimOf('alice/pc'))
  await ofAlice.bus.claim(claimOf('alice/phone'))
  await ofBob.bus.claim(claimOf('bob/phone'))
  await ofBob.bus.claim(claimOf('bob/pc'))
  const COUNT = 5000
  for (let seq = 1; seq <= COUNT; seq++) {
    sender.bus.outgoing.entryCommitted(entryOf('d:alice:bob', seq, `{"n":${seq}}`))
    if (seq % 100 === 0) await new Promise(setImmediate)
  }
  for (const node of [ofAlice, ofBob]) {
    await until(() => node.heard.length >= COUNT, 'all doorbells')
    expect(node.heard).toEqual(Array.from({ length: COUNT }, (_, i) => `d:alice:bob/${i + 1}/{"n":${i + 1}}`))
  }
  expect([sender.heard, stranger.heard]).toEqual([[], []])
  expect(nodes.map(({ losses }) => losses)).toEqual([0, 0, 0, 0])
})

test('each other kind of doorbell reaches whom it concerns', async () => {
  await using nodes = await startNodes(3)
  const [a, b, c] = nodes as unknown as [BusNode, BusNode, BusNode]
  await b.bus.claim(claimOf('bob/phone'))
  const { outgoing } = a.bus
  const large = 'x'.repeat(ENTRY_BYTES_CARRIED_MAX + 1)
  outgoing.entryCommitted(entryOf('n:bob', 4, '{}'))
  outgoing.entryCommitted(entryOf('d:alice:bob', 5, large))
  outgoing.memberJoined(group, bob, 6)
  outgoing.memberLeft(group, bob, 7)
  outgoing.readMoved(bob, group, 8)
  outgoing.stateChanged(bob, 'settings', 9)
  a.bus.sendPlain(Buffer.from('to bob'), bob)
  await until(() => b.heard.length === 7, 'what concerns bob')
  expect(b.heard).toEqual([
    'n:bob/4/{}',
    'grew d:alice:bob k1 5',
    'joined g:friends bob 6',
    'left g:friends bob 7',
    'read bob g:friends 8',
    'changed bob settings 9',
    'plain to bob',
  ])
  expect(c.heard).toEqual([])
  outgoing.loginEnded(bob, 'phone' as DeviceId, null)
  a.bus.sendPlain(Buffer.from('to all'), null)
  for (const node of [b, c]) {
    await until(() => node.heard.includes('plain to all'), 'the broadcast')
    expect(node.heard.slice(-2)).toEqual(['ended bob phone null', 'plain to all'])
  }
  expect(a.heard).toEqual([])
})

test('a group rings through the fan-out: the nodes that watch it, this one too', async () => {
  await using nodes = await startNodes(3)
  const [a, b, c] = nodes as unknown as [BusNode, BusNode, BusNode]
  await Promise.all([a.bus.watch(group), b.bus.watch(group)])
  expect((await c.bus.doorbells.watchersOf(group)).sort()).toEqual([a.bus.node, b.bus.node].sort())
  expect(await c.bus.doorbells.watchersOf('g:nobody' as LogId)).toEqual([])
  a.bus.outgoing.entryCommitted(entryOf(group, 9, '{"hi":1}'))
  expect(a.fanout.map(({ log }) => log)).toEqual([group])
  a.bus.doorbells.ring(await a.bus.doorbells.watchersOf(group), a.fanout[0]!.frame)
  await until(() => b.heard.length > 0, 'the other watcher')
  expect([a.heard, b.heard, c.heard]).toEqual([['g:friends/9/{"hi":1}'], ['g:friends/9/{"hi":1}'], []])
  a.bus.doorbells.broadcast(encodeFrame({ kind: 'grew', log: group, epoch: 'k', head: 10 }))
  for (const node of nodes) await until(() => node.heard.includes('grew g:friends k 10'), 'the broadcast')
  a.bus.doorbells.lost(60_000)
  for (const node of nodes) await until(() => node.lastLossAgeMs >= 60_000, 'the word of a loss')
})

test('a dead watcher is left out, and taken out of the set', async () => {
  const prefix = newPrefix()
  await using nodes = await startNodes(2, prefix)
  const [a, b] = nodes as unknown as [BusNode, BusNode]
  await a.bus.watch(group)
  const key = new Keys(prefix).watch(group)
  await redis.server.call('SADD', key, 'dead.12345678/1', `${a.bus.node}/0`)
  expect(await b.bus.doorbells.watchersOf(group)).toEqual([a.bus.node])
  await until(
    async () => !((await redis.server.call('SMEMBERS', key)) as string[]).includes('dead.12345678/1'),
    'the dead watcher to be pruned',
  )
})

test('a question is answered with a result or the same refusal; one to a node that is gone rejects', async () => {
  const prefix = newPrefix()
  await using nodes = await startNodes(2, prefix)
  const [a, b] = nodes as unknown as [BusNode, BusNode]
  b.bus.answer('double', async (params, from) => ({ twice: (params as { n: number }).n * 2, from }))
  b.bus.answer('refuse', async () => {
    throw new WochatError('rate_limited', 'slowly', { retryAfterMs: 5, details: { a: 1 } })
  })
  b.bus.answer('fail', async () => {
    throw new Error('a secret')
  })
  b.bus.answer('sleep', () => new Promise(() => {}))
  b.bus.answer('nothing', async () => {})
  expect(await a.bus.ask(b.bus.node, 'double', { n: 21 })).toEqual({ twice: 42, from: a.bus.node })
  expect(await b.bus.ask(b.bus.node, 'double', { n: 1 })).toEqual({ twice: 2, from: b.bus.node })
  expect(await a.bus.ask(b.bus.node, 'nothing', {})).toBeNull()
  const refusal = await a.bus.ask(b.bus.node, 'refuse', {}).catch((error: unknown) => error)
  expect(refusal).toBeInstanceOf(WochatError)
  expect(refusal).toMatchObject({
    code: 'rate_limited',
    message: 'slowly',
    retryAfterMs: 5,
    details: { a: 1 },
  })
  await expect(a.bus.ask(b.bus.node, 'fail', {})).rejects.toMatchObject({ code: 'internal' })
  await expect(a.bus.ask(b.bus.node, 'fail', {})).rejects.not.toThrow('secret')
  await expect(a.bus.ask(b.bus.node, 'unknown', {})).rejects.toMatchObject({ code: 'unknown_operation' })
  await expect(a.bus.ask(b.bus.node, 'sleep', {}, 100)).rejects.toBeInstanceOf(NodeAwayError)
  const waiting = expect(a.bus.ask(b.bus.node, 'sleep', {}, 60_000)).rejects.toBeInstanceOf(NodeAwayError)
  await b[Symbol.asyncDispose]()
  await waiting
})

test('the node that holds a device closes it for another; nobody waits for a node that is silent', async () => {
  const prefix = newPrefix()
  await using nodes = await startNodes(2, prefix)
  const [a, b] = nodes as unknown as [BusNode, BusNode]
  await a.bus.claim(claimOf('t/phone'))
  await b.bus.closeElsewhere('t/phone' as ClientId)
  expect(a.devicesClosed).toEqual(['t/phone'])
  await a.bus.closeElsewhere('t/phone' as ClientId)
  await a.bus.closeElsewhere('nobody/phone' as ClientId)
  expect(a.devicesClosed).toHaveLength(1)
  await using silent = await BusProcess.start({ url: redis.url, prefix, name: 'silent' })
  await silent.claim('t/pc')
  await until(() => a.bus.doorbells.liveNodes().includes(silent.node), 'the third node to be known')
  silent.signal('SIGSTOP')
  const startedAt = performance.now()
  await a.bus.closeElsewhere('t/pc' as ClientId)
  expect(performance.now() - startedAt).toBeLessThan(1500)
})

test('nobody waits for a node that died, although its lease is not over', async () => {
  const prefix = newPrefix()
  await using a = await BusNode.start({ url: redis.url, prefix, name: 'a' })
  await using dying = await BusProcess.start({ url: redis.url, prefix, name: 'dying' })
  await until(() => a.bus.doorbells.liveNodes().includes(dying.node), 'the other node to be known')
  dying.signal('SIGKILL')
  const channel = new Keys(prefix).doorbell(dying.node)
  const listeners = async () =>
    ((await redis.server.call('PUBSUB', 'NUMSUB', channel)) as [string, number])[1]
  await until(async () => (await listeners()) === 0, 'Redis to notice')
  await expect(a.bus.ask(dying.node, 'anything', {}, 60_000)).rejects.toBeInstanceOf(NodeAwayError)
  expect(a.bus.doorbells.liveNodes()).toContain(dying.node)
})

test('nodes share the limit of an account, and each has its own while Redis is away', async () => {
  await using redisOfTest = await startRedis()
  const prefix = newPrefix()
  await using a = await BusNode.start({ url: redisOfTest.url, prefix, name: 'a' })
  await using b = await BusNode.start({ url: redisOfTest.url, prefix, name: 'b' })
  const limiters = [a, b].map(
    ({ client }) => new SharedRateLimiter(client, new Keys(prefix), 'account', { perSecond: 0.1, burst: 10 }),
  )
  const takeAll = async () => {
    const takes = Array.from({ length: 30 }, (_, i) => limiters[i % 2]!.take('alice'))
    return (await Promise.all(takes)).filter((wait) => wait === 0).length
  }
  expect(await takeAll()).toBe(10)
  const wait = await limiters[0]!.take('alice')
  expect(wait).toBeGreaterThan(5000)
  expect(wait).toBeLessThanOrEqual(10_000)
  expect(await limiters[0]!.take('bob')).toBe(0)
  await redisOfTest.server.kill9()
  await until(() => !a.client.isReady && !b.client.isReady, 'Redis to be missed')
  expect(await takeAll()).toBe(20)
})

test('every key in Redis is one of the table, and has a life', async () => {
  const prefix = newPrefix()
  await using nodes = await startNodes(2, prefix)
  const [a] = nodes as unknown as [BusNode]
  await a.bus.claim(claimOf('k/phone'))
  await a.bus.watch(group)
  await new SharedRateLimiter(a.client, new Keys(prefix), 'account', { perSecond: 1, burst: 5 }).take('k')
  const keys = await listKeys(redis.server, prefix)
  expect(keys).toHaveLength(6)
  for (const key of keys) {
    expect(isKnownKey(prefix, key), key).toBe(true)
    expect(Number(await redis.server.call('PTTL', key)), key).toBeGreaterThan(0)
  }
})
