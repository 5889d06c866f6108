/**
 * The master of a shard of Redis dies in the middle of a load, and its replica takes over: nothing acknowledged is lost,
 * and what was said last in a quiet log comes too.
 */
import { expect, test } from 'vitest'
import { PostgresServer } from '../harness/postgres.ts'
import { QuietChat } from '../harness/quiet-chat.ts'
import { type RedisServer, startRedisCluster, startSentinelRedis } from '../harness/redis.ts'
import { startServer } from '../harness/server.ts'
import { Soak } from '../harness/soak.ts'
import { until } from '../harness/wait.ts'

const SETTINGS = {
  WOCHAT_CONTACTS_REQUIRED: 'false',
  WOCHAT_NODE_LEASE_MS: '3000',
  WOCHAT_TAKEOVER_TIMEOUT_MS: '500',
}
const FAILOVER_MS = 30_000
/** For what was said in the middle of it, and nothing after, on a busy machine. */
const READ_MS = 15_000
const TEST_MS = 240_000

test.each([0, 1, 2])(
  'master %i of a Redis Cluster is killed under a load',
  async (place) => {
    await using redis = await startRedisCluster({ replicas: true })
    await failsOver(redis.url, redis.masters[place]!, redis.replicas[place]!)
  },
  TEST_MS,
)

test(
  'the master that Sentinel knows is killed under a load',
  async () => {
    await using redis = await startSentinelRedis()
    await failsOver(redis.url, redis.master, redis.replica)
  },
  TEST_MS,
)

async function failsOver(url: string, master: RedisServer, replica: RedisServer): Promise<void> {
  await using postgres = await PostgresServer.start()
  const database = await postgres.createDatabase()
  const backends = {
    env: { WOCHAT_DATABASE_URL: database.url, WOCHAT_REDIS_URL: url },
    async [Symbol.asyncDispose]() {},
  }
  await using server = await startServer({ env: SETTINGS, backends, nodes: [{}, {}, {}] })
  using chat = await QuietChat.start(server, { writer: 0, reader: 1, members: [0, 2] })
  server.serveFrom(0, 1, 2)
  await using soak = await Soak.start(server)
  await soak.untilAnswered(0.3)
  await master.kill9()
  await chat.say('while it fails over')
  await until(
    // A replica that becomes master closes its connections.
    async () => String(await replica.call('INFO', 'replication').catch(() => '')).includes('role:master'),
    'the replica to be the master',
    FAILOVER_MS,
  )
  await chat.untilRead('while it fails over', READ_MS)
  await soak.verify()
  await until(() => server.isReady(), 'all nodes to be ready')
  expect((await server.metrics()).sum('wochat_bus_losses_total')).toBeGreaterThan(0)
}
