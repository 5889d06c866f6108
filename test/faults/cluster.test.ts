/**
 * Parts of a cluster die, freeze or lose their wires in the middle of a load: nothing acknowledged is lost, nothing comes
 * twice, everything comes in order.
 */
import { describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { createLossyFilter } from '../harness/lossy-redis.ts'
import { Metrics } from '../harness/metrics.ts'
import { makeAccounts } from '../harness/people.ts'
import { PostgresServer } from '../harness/postgres.ts'
import { RedisServer } from '../harness/redis.ts'
import { type ServerProcess, startServer, type TestServer } from '../harness/server.ts'
import { Soak } from '../harness/soak.ts'
import { TcpProxy } from '../harness/tcp-proxy.ts'
import { until } from '../harness/wait.ts'

const OPEN = { WOCHAT_CONTACTS_REQUIRED: 'false' }
const FAST_LEASE = { ...OPEN, WOCHAT_NODE_LEASE_MS: '3000', WOCHAT_TAKEOVER_TIMEOUT_MS: '500' }
const THREE_NODES = [{}, {}, {}]
const TEST_MS = 240_000

/** Three nodes under a load, with 30 % of it answered. */
async function loaded(server: TestServer): Promise<Soak> {
  const soak = await Soak.start(server)
  await soak.untilAnswered(0.3)
  return soak
}

describe('under a load of 2,000 sends over three nodes', () => {
  test(
    'a broker is killed, and comes back later',
    async () => {
      await using server = await startServer({ env: FAST_LEASE, nodes: THREE_NODES })
      await using soak = await loaded(server)
      await server.nodes[1]!.kill9()
      await soak.untilAnswered(0.6)
      await server.nodes[1]!.start()
      await soak.verify()
    },
    TEST_MS,
  )

  test(
    'a fan-out worker is killed, and another takes its work over',
    async () => {
      const brokers = Array.from({ length: 3 }, () => ({ WOCHAT_ROLES: 'broker,api' }))
      const workers = Array.from({ length: 2 }, () => ({ WOCHAT_ROLES: 'fanout' }))
      await using server = await startServer({ env: FAST_LEASE, nodes: [...brokers, ...workers] })
      server.serveFrom(0, 1, 2)
      await using soak = await loaded(server)
      await server.nodes[3]!.kill9()
      await soak.verify()
    },
    TEST_MS,
  )

  test(
    'a node is paused for longer than its lease, and resumed',
    async () => {
      await using server = await startServer({ env: FAST_LEASE, nodes: THREE_NODES })
      await using soak = await loaded(server)
      server.nodes[2]!.signal('SIGSTOP')
      server.serveFrom(0, 1)
      await soak.untilAnswered(0.5)
      for (const node of server.nodes.slice(0, 2)) {
        await until(async () => (await liveNodesOf(node)) === 2, 'the others to take it for dead')
      }
      server.nodes[2]!.signal('SIGCONT')
      await soak.verify()
    },
    TEST_MS,
  )
})

describe('the engines fail under a load', () => {
  test(
    'PostgreSQL is killed and started again',
    async () => {
      await using postgres = await PostgresServer.start()
      await using redis = await startedRedis()
      await using server = await onEngines(postgres, redis)
      await using soak = await loaded(server)
      await postgres.kill()
      await postgres.launch()
      await soak.verify()
    },
    TEST_MS,
  )

  test.each([
    ['with its data', { persistent: true }, { empty: false }],
    ['without its data', { persistent: false }, { empty: true }],
  ])(
    'Redis is killed and started again, %s',
    async (_, options, restart) => {
      await using postgres = await PostgresServer.start()
      await using redis = await startedRedis(options)
      await using server = await onEngines(postgres, redis)
      await using soak = await loaded(server)
      await redis.restart(restart)
      await soak.verify()
    },
    TEST_MS,
  )
})

describe('the wires of a node fail under a load', () => {
  test(
    'doorbells are lost at random',
    async () => {
      await using postgres = await PostgresServer.start()
      await using redis = await startedRedis()
      const dropped = { count: 0 }
      const isLost = () => Math.random() < 0.2
      await using wire = await TcpProxy.start(redis.port, createLossyFilter(isLost, dropped))
      const through = { WOCHAT_REDIS_URL: `redis://127.0.0.1:${wire.port}` }
      await using server = await onEngines(postgres, redis, [through, through, through])
      await using soak = await loaded(server)
      await soak.verify()
      expect(dropped.count).toBeGreaterThan(10)
    },
    TEST_MS,
  )

  test(
    'one node is cut off from Redis only',
    async () => {
      await using postgres = await PostgresServer.start()
      await using redis = await startedRedis()
      await using wire = await TcpProxy.start(redis.port)
      const through = { WOCHAT_REDIS_URL: `redis://127.0.0.1:${wire.port}` }
      await using server = await onEngines(postgres, redis, [{}, {}, through])
      await using soak = await loaded(server)
      wire.cut()
      await soak.untilAnswered(0.6)
      wire.heal()
      await soak.verify()
    },
    TEST_MS,
  )

  test(
    'one node is cut off from PostgreSQL only: it is not ready and refuses, the others go on',
    async () => {
      await using postgres = await PostgresServer.start()
      await using redis = await startedRedis()
      await using wire = await TcpProxy.start(postgres.port)
      await using backends = await enginesOf(postgres, redis)
      const url = new URL(backends.env.WOCHAT_DATABASE_URL!)
      url.port = String(wire.port)
      const through = { WOCHAT_DATABASE_URL: url.href }
      await using server = await startServer({ env: FAST_LEASE, backends, nodes: [{}, {}, through] })
      const node = server.nodes[2]!
      server.serveFrom(2)
      await makeAccounts(server, 'alice', 'bob')
      using alice = await Device.connect(server, 'alice', 'phone', { version: 5 })
      server.serveFrom(0, 1, 2)
      await using soak = await loaded(server)
      wire.cut()
      await until(async () => !(await node.isReady()), 'the node to miss its store')
      for (const other of server.nodes.slice(0, 2)) expect(await other.isReady()).toBe(true)
      const refused = await alice.send({ id: 'while it is cut off', to: 'bob', text: 'hello' })
      expect(refused).toMatchObject({ kind: 'refused', code: 'busy' })
      await soak.untilAnswered(0.6)
      wire.heal()
      await until(() => node.isReady(), 'the node to be ready again')
      expect(await alice.send({ id: 'healed', to: 'bob', text: 'hello' })).toMatchObject({ kind: 'accepted' })
      await soak.verify()
    },
    TEST_MS,
  )
})

/** How many nodes live, as one of them knows. */
async function liveNodesOf(node: ServerProcess): Promise<number> {
  return new Metrics(await node.metricsText()).sum('wochat_nodes')
}

async function startedRedis(options: { persistent?: boolean } = {}): Promise<RedisServer> {
  const redis = await RedisServer.create(options)
  await redis.start()
  return redis
}

async function enginesOf(postgres: PostgresServer, redis: { url: string }) {
  const database = await postgres.createDatabase()
  return {
    env: { WOCHAT_DATABASE_URL: database.url, WOCHAT_REDIS_URL: redis.url } as Record<string, string>,
    async [Symbol.asyncDispose]() {},
  }
}

/** Nodes on engines that the test owns, and ends. */
async function onEngines(
  postgres: PostgresServer,
  redis: { url: string },
  nodes: readonly Record<string, string>[] = THREE_NODES,
): Promise<TestServer> {
  return startServer({ env: FAST_LEASE, backends: await enginesOf(postgres, redis), nodes })
}
