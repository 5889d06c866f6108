/** What the doctor says of the stores of a cluster: real ones, well and ill. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresServer } from '../../test/harness/postgres.ts'
import {
  type RedisServer,
  startRedis,
  startRedisCluster,
  startSentinelRedis,
} from '../../test/harness/redis.ts'
import { createKeyDatabase } from '../auth/key-database.ts'
import { Keyring } from '../auth/keyring.ts'
import { openPool, withConnection } from '../store/postgres/connections.ts'
import { migrate, newestSchema } from '../store/postgres/migrate.ts'
import { type DoctorSettings, diagnose, type Finding } from './doctor.ts'

let postgres: PostgresServer
let redis: RedisServer
const ends: AsyncDisposable[] = []

beforeAll(async () => {
  postgres = await PostgresServer.start()
  const started = await startRedis()
  redis = started.server
  ends.push(postgres, started)
})
afterAll(async () => {
  for (const end of ends) await end[Symbol.asyncDispose]()
})

const hidden = (text: string) => ({ reveal: () => text })
const settingsOf = (databaseUrl: string, redisUrl = redis.url): DoctorSettings => ({
  databaseUrl: hidden(databaseUrl),
  redisUrl: hidden(redisUrl),
  databaseConnectionsMax: 10,
  dataDir: '/nonexistent/wochat',
  diskReserveBytes: 0,
  mqttHost: '127.0.0.1',
  mqttPort: 0,
  mqttTlsPort: 0,
  httpHost: '127.0.0.1',
  httpPort: 0,
  adminHost: '127.0.0.1',
  adminPort: 0,
  tlsCertFile: null,
  tlsKeyFile: null,
  issuers: [],
})
const textOf = (findings: Finding[]) => findings.map(({ level, what }) => `${level} ${what}`).join('\n')
const complaints = (findings: Finding[]) =>
  findings.filter(({ level }) => level !== 'ok').map(({ what }) => what)
const onRedis = async (url: string) => {
  const { url: databaseUrl } = await postgres.createDatabase()
  return diagnose(settingsOf(databaseUrl, url))
}

describe('PostgreSQL', () => {
  test('before the first node, and after it, all is well', async () => {
    const { url } = await postgres.createDatabase()
    const before = await diagnose(settingsOf(url))
    expect(complaints(before)).toEqual([])
    expect(textOf(before)).toContain(
      `ok store: not there yet; the first start makes schema ${await newestSchema()}`,
    )

    await withConnection({ url, applicationName: 'test' }, migrate)
    const pool = openPool({ url, connectionsMax: 1, applicationName: 'test' })
    await Keyring.open({ storage: createKeyDatabase(pool), alg: 'ES256', keepMs: 0 })
    await pool.end()
    const after = await diagnose(settingsOf(url))
    expect(complaints(after)).toEqual([])
    expect(textOf(after)).toContain(`ok store schema ${await newestSchema()}`)
    expect(textOf(after)).toMatch(/ok signing key \S+ \(ES256\) in the database/)
  })

  test('a database of a newer program is a failure', async () => {
    const { url } = await postgres.createDatabase()
    await withConnection({ url, applicationName: 'test' }, async (client) => {
      await migrate(client)
      await client.query("insert into migration values (9999, 'later', now())")
    })
    expect(complaints(await diagnose(settingsOf(url)))).toEqual([
      `store was written by a newer wochat (schema 9999, known ${await newestSchema()}); install that one`,
    ])
  })

  test('one that is not there is a failure, and no password is shown', async () => {
    const url = new URL(postgres.url())
    url.port = '1'
    url.password = 'very-secret'
    const text = textOf(await diagnose(settingsOf(url.href)))
    expect(text).toMatch(
      /fail PostgreSQL at 127\.0\.0\.1:1\/\S* cannot be reached \(.*ECONNREFUSED.*WOCHAT_DATABASE_URL/,
    )
    expect(text).not.toContain('very-secret')
  })

  test('too few connections for a second node are a warning', async () => {
    const { url } = await postgres.createDatabase()
    const findings = await diagnose({ ...settingsOf(url), databaseConnectionsMax: 200 })
    expect(complaints(findings)).toEqual([expect.stringContaining('has room for 1 nodes of 200')])
  })
})

describe('Redis', () => {
  test('one server, a Sentinel and a Cluster are known', async () => {
    expect(textOf(await onRedis(redis.url))).toMatch(/ok Redis 7\.\S+ at 127\.0\.0\.1/)
    await using sentinel = await startSentinelRedis()
    const bySentinel = await onRedis(sentinel.url)
    expect(complaints(bySentinel)).toEqual([])
    expect(textOf(bySentinel)).toContain(`127.0.0.1:${sentinel.master.port} is the master "wochat"`)
    await using cluster = await startRedisCluster()
    expect(complaints(await onRedis(cluster.url))).toEqual([])
    expect(complaints(await onRedis(cluster.masters[0]!.url))).toEqual([
      expect.stringContaining('is of a Cluster; write redis+cluster://'),
    ])
    expect(complaints(await onRedis(`redis+cluster://127.0.0.1:${redis.port}`))).toEqual([
      expect.stringContaining('is not of a Cluster; write redis://'),
    ])
    expect(complaints(await onRedis(sentinel.replica.url))).toEqual([expect.stringContaining('is a replica')])
  })

  test('settings under which it forgets, or cuts nodes off, are found', async () => {
    await using other = await startRedis({
      args: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'],
    })
    await other.server.call('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 1048576 524288 60')
    expect(complaints(await onRedis(other.url))).toEqual([
      expect.stringMatching(/maxmemory-policy allkeys-lru: .*set noeviction$/),
      expect.stringMatching(/client-output-buffer-limit pubsub 1048576 524288 60: .*set at least/),
    ])
  })

  test('one that is not there, or wants another password, is a failure that shows none', async () => {
    expect(complaints(await onRedis('redis://:very-secret@127.0.0.1:1'))).toEqual([
      expect.stringMatching(/^Redis at 127\.0\.0\.1:1 does not answer \(.*ECONNREFUSED.*WOCHAT_REDIS_URL$/),
    ])
    await using locked = await startRedis()
    await locked.server.call('CONFIG', 'SET', 'requirepass', 'right')
    const [wrong] = complaints(await onRedis(`redis://:very-secret@127.0.0.1:${locked.server.port}`))
    expect(wrong).toMatch(/does not answer \(.*WRONGPASS/)
    expect(wrong).not.toContain('very-secret')
  })
})
