/** Workers of the fan-out that are killed and paused under load: every entry is rung, and soon. */
import { expect, test } from 'vitest'
import type { LogId } from '../../protocol/ids.ts'
import { Keys } from '../../services/redis/keys.ts'
import { WorkStream } from '../../services/redis/work-stream.ts'
import { startRedis } from '../harness/redis.ts'
import { until } from '../harness/wait.ts'
import { connect, openQueue, openWorker, ringsOf, SHARDS, untilRung, WorkerProcess } from './fanout-parts.ts'

/** Lease of a worker (3 s), its renewal (0.5 s), and idle items (3 s, at the same time), on a busy machine. */
const TAKEOVER_MS = 8000
const GROUPS = 20
const APPEND_EVERY_MS = 20

/** Appends an entry to each group every {@link APPEND_EVERY_MS} until it is disposed of, and remembers when. */
async function startLoad(url: string) {
  const node = await openQueue(url, 'a')
  const appendedAt = new Map<string, number>()
  let seq = 0
  const timer = setInterval(() => {
    seq++
    for (let i = 0; i < GROUPS; i++) {
      const text = `g:group-${i} ${seq}`
      appendedAt.set(text, performance.now())
      node.queue.append(`g:group-${i}` as LogId, Buffer.from(text))
    }
  }, APPEND_EVERY_MS)
  return {
    appendedAt,
    metrics: node.metrics,
    stop: () => clearInterval(timer),
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await node[Symbol.asyncDispose]()
    },
  }
}

test('kill -9 of a worker under load: every entry is rung, and the others have its shards within seconds', async () => {
  await using redis = await startRedis()
  await using client = await connect(redis.url, 'test')
  for (let i = 0; i < GROUPS; i++) await client.commands.sadd(`watch:g:group-${i}`, 'b')
  await using survivor = await openWorker(redis.url, 'survivor')
  await using victim = await WorkerProcess.start(redis.url)
  await until(() => survivor.worker.ownStreams.length === 4, 'the shards to be shared')
  await using load = await startLoad(redis.url)
  await until(
    async () => (await ringsOf(client)).some(({ worker }) => worker === victim.name),
    'the victim to ring',
  )

  await victim.kill9()
  const killedAt = performance.now()
  const before = [...load.appendedAt.keys()]
  await untilRung(client, before)
  const tookMs = performance.now() - killedAt
  load.stop()
  await untilRung(client, [...load.appendedAt.keys()])

  expect(tookMs).toBeLessThan(TAKEOVER_MS)
  expect(load.metrics.dropped).toBe(0)
  expect(survivor.worker.ownStreams.length).toBe(8)
})

test('a worker that is paused for longer than its lease: the other takes over, and both work when it is back', async () => {
  await using redis = await startRedis()
  await using client = await connect(redis.url, 'test')
  for (let i = 0; i < GROUPS; i++) await client.commands.sadd(`watch:g:group-${i}`, 'b')
  await using other = await openWorker(redis.url, 'other')
  await using paused = await WorkerProcess.start(redis.url)
  await until(() => other.worker.ownStreams.length === 4, 'the shards to be shared')
  await using load = await startLoad(redis.url)
  const countOfPaused = async () =>
    (await ringsOf(client)).filter(({ worker }) => worker === paused.name).length
  await until(async () => (await countOfPaused()) > 0, 'the worker to ring')

  paused.signal('SIGSTOP')
  const before = [...load.appendedAt.keys()]
  await until(() => other.worker.ownStreams.length === 8, 'the other to take the shards')
  await untilRung(client, before)
  const count = await countOfPaused()

  paused.signal('SIGCONT')
  await until(() => other.worker.ownStreams.length === 4, 'the shards to be shared again')
  await until(async () => (await countOfPaused()) > count + GROUPS, 'the worker to ring again')
  load.stop()
  await untilRung(client, [...load.appendedAt.keys()])
  expect(load.metrics.dropped).toBe(0)
})

test('items that a dead worker had read and not finished are claimed by the one that has its shards', async () => {
  await using redis = await startRedis()
  await using client = await connect(redis.url, 'test')
  const log = 'g:group-1' as LogId
  await client.commands.sadd(`watch:${log}`, 'b')
  await using node = await openQueue(redis.url, 'a')
  const frames = Array.from({ length: 10 }, (_, i) => `${log} ${i}`)
  for (const frame of frames) node.queue.append(log, Buffer.from(frame))
  await node.queue.flush()

  const keys = new Keys('wochat')
  const dead = new WorkStream(client, 'dead')
  let taken = 0
  for (let shard = 0; shard < SHARDS; shard++) {
    const key = keys.fanoutStream(shard)
    await dead.ensure(key)
    taken += (await dead.read(client.commands, [key], { itemsMax: 100, blockMs: 1 })).length
  }
  expect(taken).toBeGreaterThan(0)

  await using next = await openWorker(redis.url, 'next')
  await untilRung(client, frames)
  expect(next.metrics.claimed).toBe(10)
})
