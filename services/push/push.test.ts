import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import { startRedis } from '../../test/harness/redis.ts'
import { until } from '../../test/harness/wait.ts'
import { Keys } from '../redis/keys.ts'
import { RedisClient } from '../redis/redis.ts'
import { NoProvider } from './no-provider.ts'
import { createPushMetrics, type PushJob, type PushProvider } from './ports.ts'
import { PushQueue } from './push-queue.ts'
import { PushWorker } from './push-worker.ts'

const log = pino({ level: 'silent' })
const keys = new Keys('wochat')
const jobOf = (seq: number): PushJob => ({
  uid: 'bob' as UserId,
  device: 'phone' as DeviceId,
  log: 'g:1' as LogId,
  seq,
})

async function openPart(url: string) {
  const client = new RedisClient({ url, name: 'push', log })
  await client.untilReady(5000)
  return { client, metrics: createPushMetrics(), [Symbol.asyncDispose]: () => client[Symbol.asyncDispose]() }
}

function openWorker(part: Awaited<ReturnType<typeof openPart>>, node: string, provider: PushProvider) {
  const worker = new PushWorker({ ...part, keys, node, provider, log, claimIdleMs: 200 })
  worker.start()
  return worker
}

test('without a provider every job is counted and acknowledged, and the stream is empty', async () => {
  await using redis = await startRedis()
  await using part = await openPart(redis.url)
  const provider = new NoProvider()
  await using _worker = openWorker(part, 'a', provider)
  const queue = new PushQueue({ ...part, keys })
  for (let seq = 1; seq <= 50; seq++) await queue.append(jobOf(seq))
  await until(() => provider.skipped === 50, 'all jobs to be counted')
  await until(async () => (await part.client.commands.xlen(keys.pushJobs)) === 0, 'the stream to be empty')
  await until(() => part.metrics.processed === 50, 'the jobs to be counted as done')
  expect(part.metrics.failures).toBe(0)
})

test('jobs that a provider refused are tried again, by another worker if the first has gone', async () => {
  await using redis = await startRedis()
  await using part = await openPart(redis.url)
  await using other = await openPart(redis.url)
  const queue = new PushQueue({ ...part, keys })
  {
    await using _fails = openWorker(part, 'a', {
      push: () => Promise.reject(new Error('the provider is away')),
    })
    for (let seq = 1; seq <= 10; seq++) await queue.append(jobOf(seq))
    await until(() => part.metrics.failures > 0, 'the provider to fail')
  }
  const pushed: PushJob[] = []
  await using _works = openWorker(other, 'b', {
    push: async (jobs) => {
      pushed.push(...jobs)
    },
  })
  await until(() => new Set(pushed.map(({ seq }) => seq)).size === 10, 'all jobs to be pushed')
  expect(pushed).toContainEqual(jobOf(1))
})

test('a worker stops although its provider never answers, and its jobs are tried again by another', async () => {
  await using redis = await startRedis()
  await using part = await openPart(redis.url)
  await using other = await openPart(redis.url)
  let waiting = 0
  const silent = openWorker(part, 'a', {
    push: () => {
      waiting++
      return new Promise(() => {})
    },
  })
  await new PushQueue({ ...part, keys }).append(jobOf(1))
  await until(() => waiting > 0, 'the provider to be asked')
  await silent[Symbol.asyncDispose]()
  const pushed: PushJob[] = []
  await using _works = openWorker(other, 'b', {
    push: async (jobs) => {
      pushed.push(...jobs)
    },
  })
  await until(() => pushed.length > 0, 'the job to be pushed')
  expect(pushed).toEqual([jobOf(1)])
})

test('the first worker of a new Redis starts without a complaint', async () => {
  await using redis = await startRedis()
  await using part = await openPart(redis.url)
  const lines: string[] = []
  const collected = pino({ level: 'error' }, { write: (line: string) => lines.push(line) })
  const provider = new NoProvider()
  await using worker = new PushWorker({ ...part, keys, node: 'a', provider, log: collected })
  worker.start()
  await new PushQueue({ ...part, keys }).append(jobOf(1))
  await until(() => provider.skipped === 1, 'the job to be taken')
  expect(lines).toEqual([])
})

test('a job that Redis does not take is told to the caller, and is no error', async () => {
  await using redis = await startRedis()
  await using part = await openPart(redis.url)
  const queue = new PushQueue({ ...part, keys })
  expect(await queue.append(jobOf(1))).toBe(true)
  await redis.server.kill9()
  expect(await queue.append(jobOf(2))).toBe(false)
})
