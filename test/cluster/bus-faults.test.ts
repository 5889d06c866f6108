/** The bus when parts of it fail: lost doorbells, paused and dead nodes, Redis away, emptied or failed over. */
import { expect, test } from 'vitest'
import { addFrame, type BatchKind, beginBatch, numberBatch } from '../../broker/cluster/batch.ts'
import { encodeFrame } from '../../broker/cluster/frame.ts'
import { FrameWriter } from '../../broker/cluster/frame-writer.ts'
import type { LogId, UserId } from '../../protocol/ids.ts'
import { Keys } from '../../services/redis/keys.ts'
import { COMMAND_TIMEOUT_MS } from '../../services/redis/redis.ts'
import { startRedis, startRedisCluster, startSentinelRedis, type TestRedis } from '../harness/redis.ts'
import { TcpProxy } from '../harness/tcp-proxy.ts'
import { until, untilAfter } from '../harness/wait.ts'
import { BusNode, claimOf, entryOf, LEASE_MS, newPrefix } from './bus-node.ts'
import { BusProcess } from './bus-process.ts'

const group = 'g:friends' as LogId
const alice = 'alice' as UserId

/** Each node estimates the clock of Redis for itself. */
const CLOCKS_APART_MS = 20

async function startPair(redis: TestRedis, prefix = newPrefix()): Promise<[BusNode, BusNode]> {
  const start = (name: string) => BusNode.start({ url: redis.url, prefix, name })
  const nodes: [BusNode, BusNode] = [await start('a'), await start('b')]
  for (const { bus } of nodes)
    await until(() => bus.doorbells.liveNodes().length === 2, 'both nodes to be known')
  return nodes
}

/** Doorbells of `from` reach who holds a device of bob; tries again until one does, as a real sender would send more. */
async function untilRung(from: BusNode, to: BusNode): Promise<void> {
  let seq = 1_000_000
  await until(async () => {
    from.bus.outgoing.entryCommitted(entryOf('d:alice:bob', ++seq))
    return to.heard.some((text) => /\/1\d{6}\//.test(text))
  }, 'a doorbell to arrive')
}

const holds = async (node: BusNode, uid: UserId, holder: BusNode) =>
  (await node.bus.devicesOf(uid)).some((route) => route.node === holder.bus.node)

test('a hole in the numbers, a missing last batch and a silence each start a catch-up; whole numbers do not', async () => {
  await using redis = await startRedis()
  const prefix = newPrefix()
  await using node = await BusNode.start({ url: redis.url, prefix, name: 'a' })
  const say = async (sender: string, kind: BatchKind, number: number, frames = 1) => {
    const writer = new FrameWriter()
    const { numberAt } = beginBatch(writer, kind, sender)
    const frame = encodeFrame({ kind: 'grew', log: group, epoch: 'k', head: number })
    for (let i = 0; i < frames; i++) addFrame(writer, frame, 0, frame.length)
    numberBatch(writer, numberAt, number)
    await node.client.commands.publish(new Keys(prefix).doorbell(node.bus.node), writer.copyFrom(0))
  }
  for (const number of [1, 2, 3]) await say('whole', 'frames', number)
  await say('whole', 'heartbeat', 3, 0)
  await say('whole', 'lastHeartbeat', 3, 0)
  await until(() => node.heard.length === 3, 'three doorbells')

  await say('hole', 'frames', 1)
  await say('hole', 'frames', 3)
  await say('hole', 'lastHeartbeat', 3, 0)
  await until(() => node.losses === 1, 'the hole to be found')
  expect(node.heard).toHaveLength(5)

  await say('last', 'frames', 1)
  await say('last', 'lastHeartbeat', 2, 0)
  await until(() => node.losses === 2, 'the missing last one to be found')

  await say('silent', 'frames', 1)
  await until(() => node.losses === 3, 'the silence to be noticed')
  await node.client.commands.publish(new Keys(prefix).doorbell(node.bus.node), 'no frame at all')
  await until(() => node.losses === 4, 'bytes that cannot be read to count as a loss')
})

test('what a sender could not look up or ring while Redis stood still is a hole for the others', async () => {
  await using redis = await startRedis()
  const [a, b] = await startPair(redis)
  await using _a = a
  await using _b = b
  await b.bus.claim(claimOf('bob/phone'))
  a.bus.outgoing.entryCommitted(entryOf('d:alice:bob', 1))
  await until(() => b.heard.length === 1, 'the first doorbell')
  redis.server.pause()
  a.bus.outgoing.entryCommitted(entryOf('d:alice:bob', 2))
  await new Promise(setImmediate)
  // Given after the look-up, this waits for as long.
  await expect(a.client.commands.ping()).rejects.toThrow()
  const before = b.losses
  redis.server.resume()
  await until(() => b.losses > before, 'the hole to be found')
})

test('a subscription that is cut is made again, with a catch-up', async () => {
  await using redis = await startRedis()
  const [a, b] = await startPair(redis)
  await using _a = a
  await using _b = b
  await b.bus.claim(claimOf('bob/phone'))
  await redis.server.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
  for (const node of [a, b]) await until(() => node.losses > 0, 'a catch-up')
  await untilRung(a, b)
})

test('a node that was paused for longer than its lease has lost what others claimed, and hears of it', async () => {
  await using redis = await startRedis()
  const prefix = newPrefix()
  await using node = await BusNode.start({ url: redis.url, prefix, name: 'a' })
  await using paused = await BusProcess.start({ url: redis.url, prefix, name: 'paused' })
  await paused.claim('bob/phone')
  await paused.claim('bob/pc')
  await until(() => node.bus.doorbells.liveNodes().length === 2, 'both nodes to be known')
  paused.signal('SIGSTOP')
  await until(() => node.gone.includes(paused.node), 'its lease to be over', LEASE_MS + 5000)
  expect(await node.bus.devicesOf('bob' as UserId)).toEqual([])
  expect(await node.bus.claim(claimOf('bob/phone'))).toBe('held')
  paused.signal('SIGCONT')
  await until(() => paused.find('deviceLost') === 'bob/phone', 'it to hear that it lost the device')
  await until(() => paused.find('doorbellsLost') !== undefined, 'its catch-up')
  await until(async () => (await node.bus.devicesOf('bob' as UserId)).length === 2, 'its other device')
  const devices = await node.bus.devicesOf('bob' as UserId)
  expect(new Map(devices.map(({ device, node: holder }) => [device as string, holder]))).toEqual(
    new Map([
      ['pc', paused.node],
      ['phone', node.bus.node],
    ]),
  )
  expect(paused.events.filter(({ event }) => event === 'deviceLost')).toHaveLength(1)
  expect(node.devicesLost).toEqual([])
})

test('a node whose wire swallowed everything for longer than its lease claims and watches all again', async () => {
  await using redis = await startRedis()
  await using wire = await TcpProxy.start(redis.server.port)
  const prefix = newPrefix()
  await using a = await BusNode.start({ url: redis.url, prefix, name: 'a' })
  await using b = await BusNode.start({ url: `redis://127.0.0.1:${wire.port}`, prefix, name: 'b' })
  await until(() => a.bus.doorbells.liveNodes().length === 2, 'both nodes to be known')
  await b.bus.watch(group)
  await b.bus.claim(claimOf('bob/phone'))
  wire.freeze()
  await until(() => a.gone.includes(b.bus.node), 'its lease to be over')
  expect(await a.bus.doorbells.watchersOf(group)).toEqual([])
  // Its first announcement arrives after the end of its wait, and takes the lease again; nobody hears its answer.
  await new Promise((resolve) => setTimeout(resolve, COMMAND_TIMEOUT_MS))
  wire.heal()
  await until(async () => (await a.bus.doorbells.watchersOf(group)).includes(b.bus.node), 'the watch')
  await until(() => holds(a, 'bob' as UserId, b), 'the route')
})

for (const persistent of [false, true]) {
  test(`Redis killed and started ${persistent ? 'with' : 'without'} its data: all is claimed and watched again`, async () => {
    await using redis = await startRedis({ persistent })
    const [a, b] = await startPair(redis)
    await using _a = a
    await using _b = b
    const COUNT = 1200
    await Promise.all(Array.from({ length: COUNT }, (_, i) => b.bus.claim(claimOf(`u${i}/phone`))))
    await b.bus.claim(claimOf('bob/phone'))
    await b.bus.watch(group)
    const before = [a.losses, b.losses]
    await redis.server.kill9()
    await redis.server.start()
    for (const [i, node] of [a, b].entries())
      await until(() => node.losses > before[i]!, 'a catch-up of each node')
    const uids = Array.from({ length: COUNT }, (_, i) => `u${i}` as UserId)
    await until(
      async () => (await a.bus.devicesOfMany(uids)).every(([route]) => route?.node === b.bus.node),
      'all devices',
    )
    await until(async () => (await a.bus.doorbells.watchersOf(group)).includes(b.bus.node), 'the watch')
    await untilRung(a, b)
    expect([a.gone, b.gone, b.devicesLost]).toEqual([[], [], []])
  })
}

test('a claim while Redis is away is held at once; when it is back the later one has the device', async () => {
  await using redis = await startRedis()
  const [a, b] = await startPair(redis)
  await using _a = a
  await using _b = b
  await redis.server.kill9()
  for (const { client } of [a, b]) await until(() => !client.isReady, 'Redis to be missed')
  expect(await a.bus.claim(claimOf('alice/phone'))).toBe('held')
  await untilAfter(Date.now() + CLOCKS_APART_MS)
  expect(await b.bus.claim(claimOf('alice/phone'))).toBe('held')
  expect(await a.bus.claim(claimOf('alice/pc', { session: 1, generation: 2 }))).toBe('held')
  expect(await b.bus.claim(claimOf('alice/pc', { session: 1, generation: 1 }))).toBe('held')
  await Promise.all([a.bus.watch(group), a.bus.closeElsewhere('alice/phone' as never)])
  await redis.server.start()
  await until(() => a.devicesLost.includes('alice/phone'), 'the earlier one to lose it')
  await until(() => b.devicesLost.includes('alice/pc'), 'the lower generation to lose it')
  await until(async () => (await a.bus.devicesOf(alice)).length === 2, 'both devices')
  expect([a.devicesLost, b.devicesLost]).toEqual([['alice/phone'], ['alice/pc']])
  await until(async () => (await b.bus.doorbells.watchersOf(group)).includes(a.bus.node), 'the watch')
})

test('a claim while Redis stands still is held after a bounded time', async () => {
  await using redis = await startRedis()
  await using node = await BusNode.start({ url: redis.url, prefix: newPrefix(), name: 'a' })
  redis.server.pause()
  const startedAt = performance.now()
  expect(await node.bus.claim(claimOf('alice/phone'))).toBe('held')
  expect(performance.now() - startedAt).toBeLessThan(3000)
  redis.server.resume()
  await until(() => holds(node, alice, node), 'the route')
})

test('a Sentinel failover: doorbells go on, what the replica did not have is claimed again', async () => {
  await using redis = await startSentinelRedis()
  const [a, b] = await startPair(redis)
  await using _a = a
  await using _b = b
  await b.bus.claim(claimOf('bob/phone'))
  await redis.master.kill9()
  await until(() => b.losses > 0, 'a catch-up')
  await until(() => holds(a, 'bob' as UserId, b), 'the route')
  await untilRung(a, b)
  expect([a.gone, b.gone]).toEqual([[], []])
})

test('in a Cluster doorbells ring over all shards, and go on when a shard fails over', async () => {
  await using redis = await startRedisCluster({ replicas: true })
  const [a, b] = await startPair(redis)
  await using _a = a
  await using _b = b
  const COUNT = 300
  const uids = Array.from({ length: COUNT }, (_, i) => `u${i}` as UserId)
  await Promise.all(uids.map((uid) => b.bus.claim(claimOf(`${uid}/phone`))))
  await b.bus.claim(claimOf('bob/phone'))
  await b.bus.watch(group)
  expect(await a.bus.doorbells.watchersOf(group)).toEqual([b.bus.node])
  for (const [i, uid] of uids.entries()) {
    const log = 'alice' < uid ? `d:alice:${uid}` : `d:${uid}:alice`
    a.bus.outgoing.entryCommitted(entryOf(log, i + 1))
    if (i % 50 === 0) await new Promise(setImmediate)
  }
  await until(() => b.heard.length === COUNT, 'all doorbells')
  expect(b.heard.map((text) => Number(text.split('/')[1]))).toEqual(uids.map((_, i) => i + 1))
  expect([a.losses, b.losses]).toEqual([0, 0])
  // The shard that carries the doorbells of b, so that its subscription must move.
  const serving = await shardOf(redis.masters, b)
  await serving.kill9()
  await until(() => b.losses > 0, 'a catch-up')
  await until(
    async () => (await a.bus.devicesOfMany(uids)).every(([route]) => route?.node === b.bus.node),
    'all routes',
  )
  await untilRung(a, b)
})

/** The master that has the subscription of a node. */
async function shardOf(masters: Awaited<ReturnType<typeof startRedisCluster>>['masters'], node: BusNode) {
  for (const master of masters) {
    const channels = (await master.call('PUBSUB', 'SHARDCHANNELS')) as string[]
    if (channels.some((channel) => channel.includes(node.bus.node))) return master
  }
  throw new Error('no shard has the channel')
}
