/** The fan-out of group messages on a real Redis: its streams, its workers, and what happens when a part goes away. */
import { expect, test } from 'vitest'
import type { LogId } from '../../protocol/ids.ts'
import { Keys } from '../../services/redis/keys.ts'
import type { RedisClient } from '../../services/redis/redis.ts'
import { startRedis, startRedisCluster } from '../harness/redis.ts'
import { until } from '../harness/wait.ts'
import { connect, lossesOf, openQueue, openWorker, ringsOf, SHARDS, untilRung } from './fanout-parts.ts'

const keys = new Keys('wochat')
const group = (i: number) => `g:group-${i}` as LogId

/** Each of `count` groups is watched by the node `b`. */
async function watchGroups(client: RedisClient, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await client.commands.sadd(`watch:${group(i)}`, 'b')
}

/** Appends one frame, and answers its text. */
function appendTo(queue: { append(log: LogId, frame: Buffer): void }, log: LogId, seq: number): string {
  const text = `${log} ${seq}`
  queue.append(log, Buffer.from(text))
  return text
}

async function streamLength(client: RedisClient): Promise<number> {
  let sum = 0
  for (let shard = 0; shard < SHARDS; shard++) sum += await client.commands.xlen(keys.fanoutStream(shard))
  return sum
}

test('each log is rung by one worker and in its order, and the streams are empty afterwards', async () => {
  await using redis = await startRedis()
  await using client = await connect(redis.url, 'test')
  await watchGroups(client, 20)
  await using first = await openWorker(redis.url, 'worker-1')
  await using second = await openWorker(redis.url, 'worker-2')
  await until(() => first.worker.ownStreams.length === SHARDS / 2, 'the shards to be shared')
  await using node = await openQueue(redis.url, 'a')
  // The first worker may be waiting in a read of all shards, from when it was alone.
  const ended = Array.from({ length: 20 }, (_, i) => appendTo(node.queue, group(i), 0))
  await untilRung(client, ended)
  await client.commands.del('rings')

  const frames: string[] = []
  for (let seq = 1; seq <= 200; seq++) {
    for (let i = 0; i < 20; i++) frames.push(appendTo(node.queue, group(i), seq))
    if (seq % 10 === 0) await node.queue.flush()
  }
  const rings = await untilRung(client, frames)

  expect(rings).toHaveLength(4000)
  for (let i = 0; i < 20; i++) {
    const ofLog = rings.filter(({ frame }) => frame.startsWith(`${group(i)} `))
    expect(new Set(ofLog.map(({ worker }) => worker)).size).toBe(1)
    expect(ofLog.map(({ frame }) => Number(frame.split(' ')[1]))).toEqual(
      Array.from({ length: 200 }, (_, n) => n + 1),
    )
  }
  await until(async () => (await streamLength(client)) === 0, 'the streams to be empty')
  expect(node.metrics).toMatchObject({ appended: 4020, dropped: 0 })
  expect(first.metrics.processed + second.metrics.processed).toBe(4020)
  expect(Math.min(first.metrics.processed, second.metrics.processed)).toBeGreaterThan(0)
})

test('the watching nodes are rung but for the sender, and many of them by one broadcast', async () => {
  await using redis = await startRedis()
  await using client = await connect(redis.url, 'test')
  await client.commands.sadd(`watch:${group(0)}`, 'a', 'b', 'c')
  await client.commands.sadd(`watch:${group(1)}`, ...'abcdefgh')
  await client.commands.sadd(`watch:${group(2)}`, 'a')
  await using worker = await openWorker(redis.url, 'worker-1', [...'abcdefghijklmnop'])
  await using node = await openQueue(redis.url, 'a')

  appendTo(node.queue, group(0), 1)
  appendTo(node.queue, group(1), 1)
  appendTo(node.queue, group(2), 1)
  await until(() => worker.metrics.processed === 3, 'three entries to be worked on')

  const rings = await untilRung(client, [`${group(0)} 1`, `${group(1)} 1`])
  expect(rings.find(({ frame }) => frame === `${group(0)} 1`)?.to).toEqual(['b', 'c'])
  expect(rings.find(({ frame }) => frame === `${group(1)} 1`)?.to).toBe('all')
  expect(rings).toHaveLength(2)
  expect(worker.metrics).toMatchObject({ rung: 2, broadcast: 1 })
})

test('a node that begins to watch after the entry was appended and before a worker read it is rung', async () => {
  await using redis = await startRedis()
  await using client = await connect(redis.url, 'test')
  await using node = await openQueue(redis.url, 'a')
  const frame = appendTo(node.queue, group(0), 1)
  await node.queue.flush()
  await client.commands.sadd(`watch:${group(0)}`, 'late')
  await using _worker = await openWorker(redis.url, 'worker-1')
  const rings = await untilRung(client, [frame])
  expect(rings[0]?.to).toEqual(['late'])
})

test('shards move to a worker that joins, and back when it leaves; every entry on the way is rung', async () => {
  await using redis = await startRedis()
  await using client = await connect(redis.url, 'test')
  await watchGroups(client, 50)
  await using stays = await openWorker(redis.url, 'worker-1')
  await using node = await openQueue(redis.url, 'a')
  expect(stays.worker.ownStreams).toHaveLength(SHARDS)

  const frames: string[] = []
  let seq = 0
  const load = setInterval(() => {
    seq++
    for (let i = 0; i < 50; i++) frames.push(appendTo(node.queue, group(i), seq))
  }, 10)
  try {
    {
      await using joins = await openWorker(redis.url, 'worker-2')
      expect(joins.worker.ownStreams).toHaveLength(SHARDS / 2)
      await until(() => stays.worker.ownStreams.length === SHARDS / 2, 'shards to be given away')
      const all = new Set([...stays.worker.ownStreams, ...joins.worker.ownStreams])
      expect(all.size).toBe(SHARDS)
      await until(() => joins.metrics.processed > 100, 'the new worker to work')
    }
    await until(() => stays.worker.ownStreams.length === SHARDS, 'the shards to come back')
  } finally {
    clearInterval(load)
  }
  await untilRung(client, frames)
})

test('a worker that stops leaves nothing unfinished: no entry is claimed', async () => {
  await using redis = await startRedis()
  await using client = await connect(redis.url, 'test')
  await watchGroups(client, 10)
  await using node = await openQueue(redis.url, 'a')
  const frames: string[] = []
  {
    await using _worker = await openWorker(redis.url, 'worker-1')
    for (let seq = 1; seq <= 300; seq++) frames.push(appendTo(node.queue, group(seq % 10), seq))
    await until(async () => (await ringsOf(client)).length > 0, 'the worker to have begun')
  }
  for (let shard = 0; shard < SHARDS; shard++) {
    const [pending] = (await client.commands.xpending(keys.fanoutStream(shard), 'workers')) as [number]
    expect(pending).toBe(0)
  }
  await using _next = await openWorker(redis.url, 'worker-2')
  const rings = await untilRung(client, frames)
  expect(rings).toHaveLength(300)
})

test('Redis restarted with its data: what waited is rung, and the nodes are told to ask the store', async () => {
  await using redis = await startRedis({ persistent: true })
  await using client = await connect(redis.url, 'test')
  await watchGroups(client, 10)
  await using node = await openQueue(redis.url, 'a')
  const before = Array.from({ length: 100 }, (_, i) => appendTo(node.queue, group(i % 10), i))
  await node.queue.flush()
  await redis.server.restart()
  await using worker = await openWorker(redis.url, 'worker-1')
  await until(() => client.isReady, 'the connection to be back')
  await untilRung(client, before)

  const losses = worker.metrics.losses
  await redis.server.restart()
  await until(() => client.isReady && node.client.isReady, 'the connection to be back')
  const after = Array.from({ length: 100 }, (_, i) => appendTo(node.queue, group(i % 10), 1000 + i))
  await untilRung(client, after)
  await until(() => worker.metrics.losses > losses, 'the loss to be told')
})

test('Redis restarted without its data: the workers go on, and the nodes are told to ask the store', async () => {
  await using redis = await startRedis()
  await using client = await connect(redis.url, 'test')
  await using worker = await openWorker(redis.url, 'worker-1')
  await using node = await openQueue(redis.url, 'a')
  await watchGroups(client, 10)
  await untilRung(
    client,
    Array.from({ length: 10 }, (_, i) => appendTo(node.queue, group(i), 1)),
  )
  await redis.server.restart({ empty: true })
  await until(() => client.isReady && node.client.isReady, 'the connections to be back')
  await watchGroups(client, 10)
  await untilRung(
    client,
    Array.from({ length: 10 }, (_, i) => appendTo(node.queue, group(i), 2)),
  )
  const told = await until(async () => {
    const losses = await lossesOf(client)
    return losses.length > 0 ? losses : null
  }, 'the loss to be told')
  expect(Math.max(...told)).toBeGreaterThan(0)
  expect(worker.worker.ownStreams).toHaveLength(SHARDS)
})

test('entries that are appended while Redis is away are dropped, counted, and told of when it is back', async () => {
  await using redis = await startRedis()
  await using node = await openQueue(redis.url, 'a')
  await redis.server.kill9()
  await until(() => !node.client.isReady, 'the connection to be lost')
  const lostAt = performance.now()
  for (let i = 0; i < 50; i++) appendTo(node.queue, group(i), 1)
  expect(node.metrics).toMatchObject({ appended: 0, dropped: 50 })
  expect(node.losses).toEqual([])
  await redis.server.start()
  await until(() => node.losses.length > 0, 'the loss to be told')
  expect(node.losses[0]).toBeGreaterThan(0)
  expect(node.losses[0]).toBeLessThanOrEqual(Math.ceil(performance.now() - lostAt))
})

test('a full stream takes nothing more, what is in it stays, each loss is told, and it opens when it is worked off', async () => {
  await using redis = await startRedis()
  await using client = await connect(redis.url, 'test')
  await watchGroups(client, 1)
  await using node = await openQueue(redis.url, 'a', 20)
  let seq = 0
  const appended: string[] = []
  while (node.metrics.dropped === 0) {
    const frame = appendTo(node.queue, group(0), ++seq)
    await node.queue.flush()
    if (node.metrics.dropped === 0) appended.push(frame)
  }
  expect(appended).toHaveLength(20)
  await until(() => node.losses.length > 0, 'the loss to be told')
  expect(node.losses[0]).toBeLessThan(5000)

  await using _worker = await openWorker(redis.url, 'worker-1')
  await untilRung(client, appended)
  const reopened = await until(async () => {
    const { dropped } = node.metrics
    const frame = appendTo(node.queue, group(0), ++seq)
    await node.queue.flush()
    return node.metrics.dropped === dropped ? frame : null
  }, 'the stream to open')
  await untilRung(client, [reopened])
})

test('a Redis Cluster: shards on several servers are read side by side, each log in its order', async () => {
  await using redis = await startRedisCluster()
  await using client = await connect(redis.url, 'test')
  await watchGroups(client, 30)
  await using first = await openWorker(redis.url, 'worker-1')
  await using second = await openWorker(redis.url, 'worker-2')
  await until(() => first.worker.ownStreams.length === SHARDS / 2, 'the shards to be shared')
  await using node = await openQueue(redis.url, 'a')
  const frames: string[] = []
  for (let seq = 1; seq <= 50; seq++) {
    for (let i = 0; i < 30; i++) frames.push(appendTo(node.queue, group(i), seq))
    await node.queue.flush()
  }
  const rings = await untilRung(client, frames)
  for (let i = 0; i < 30; i++) {
    const seqs = rings.filter(({ frame }) => frame.startsWith(`${group(i)} `)).map(({ frame }) => frame)
    expect(seqs).toEqual(Array.from({ length: 50 }, (_, n) => `${group(i)} ${n + 1}`))
  }
  expect(Math.min(first.metrics.processed, second.metrics.processed)).toBeGreaterThan(0)
  await until(async () => (await streamLength(client)) === 0, 'the streams to be empty')
})
