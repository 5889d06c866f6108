/** A node that stops does so in its time, whatever state Redis is in. */
import { test } from 'vitest'
import { PostgresServer } from '../harness/postgres.ts'
import { startRedis, startRedisCluster, startSentinelRedis } from '../harness/redis.ts'
import { startServer } from '../harness/server.ts'
import { Soak } from '../harness/soak.ts'

const TEST_MS = 120_000

test.each([
  ['one server of Redis that', startRedis],
  ['Sentinel and a master that', startSentinelRedis],
  ['a Cluster whose servers all', startRedisCluster],
])(
  'beside %s stood still in the middle of a load',
  async (_, start) => {
    await using redis = await start()
    await using postgres = await PostgresServer.start()
    const database = await postgres.createDatabase()
    const backends = {
      env: { WOCHAT_DATABASE_URL: database.url, WOCHAT_REDIS_URL: redis.url },
      async [Symbol.asyncDispose]() {},
    }
    const env = { WOCHAT_CONTACTS_REQUIRED: 'false' }
    await using server = await startServer({ env, backends, nodes: [{}, {}] })
    await using soak = await Soak.start(server)
    await soak.untilAnswered(0.3)
    for (const place of redis.servers) place.pause()
    // Asserts an end by itself, with success.
    await Promise.all(server.nodes.map((node) => node.stop()))
  },
  TEST_MS,
)
