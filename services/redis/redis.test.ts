import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { startRedis, startRedisCluster, startSentinelRedis } from '../../test/harness/redis.ts'
import { TcpProxy } from '../../test/harness/tcp-proxy.ts'
import { until } from '../../test/harness/wait.ts'
import { RedisClient } from './redis.ts'
import { parseRedisUrl } from './redis-url.ts'
import { Script } from './script.ts'

function connect(url: string, lines: string[] = []): RedisClient {
  const push = (_: unknown, text?: string) => void lines.push(String(text))
  return new RedisClient({ url, name: 'test', log: { error: push, info: push } as never })
}

const canWrite = async (client: RedisClient, key: string) =>
  client.commands.set(key, 'x').then(
    () => true,
    () => false,
  )

test('a URL says which kind of Redis it is, and a wrong one is refused without repeating its password', () => {
  expect(parseRedisUrl('redis://u:p%40ss@h:1/2')).toMatchObject({
    kind: 'single',
    hosts: [{ host: 'h', port: 1 }],
    username: 'u',
    password: 'p@ss',
    database: 2,
    tls: false,
  })
  expect(parseRedisUrl('rediss+sentinel://:pw@a:1,b/main?sentinelPassword=s')).toMatchObject({
    kind: 'sentinel',
    hosts: [
      { host: 'a', port: 1 },
      { host: 'b', port: 26379 },
    ],
    masterName: 'main',
    password: 'pw',
    sentinelPassword: 's',
    tls: true,
  })
  expect(parseRedisUrl('redis+cluster://[::1]:7000,b').hosts).toEqual([
    { host: '::1', port: 7000 },
    { host: 'b', port: 6379 },
  ])
  const wrong = [
    'http://a',
    'redis://',
    'redis://a,b',
    'redis://a:0',
    'redis://a:70000',
    'redis://a/x',
    'redis+sentinel://a',
    'redis+other://a',
  ]
  for (const url of wrong) expect(() => parseRedisUrl(url.replace('://', '://u:hunter2@')), url).toThrow()
  expect(() => parseRedisUrl('redis://:hunter2@a:99999')).not.toThrow('hunter2')
})

test('while the server is away commands fail at once, the log says so once, and then it works again', async () => {
  await using redis = await startRedis()
  const lines: string[] = []
  await using client = connect(redis.url, lines)
  await client.untilReady(5000)
  let interruptions = 0
  client.onInterrupted = () => void interruptions++
  await redis.server.kill9()
  await until(() => !client.isReady, 'the client to notice')
  const startedAt = performance.now()
  await expect(client.commands.get('a')).rejects.toThrow()
  expect(performance.now() - startedAt).toBeLessThan(500)
  await redis.server.start()
  await until(() => client.isReady, 'the client to be back')
  expect(await client.commands.set('a', '1')).toBe('OK')
  expect(interruptions).toBe(1)
  expect(lines).toEqual(['Redis is away', 'Redis is back'])
})

test('a command to a server that stands still fails in a bounded time', async () => {
  await using redis = await startRedis()
  await using client = connect(redis.url)
  await client.untilReady(5000)
  redis.server.pause()
  await expect(client.commands.get('a')).rejects.toThrow(/timed out/i)
  redis.server.resume()
  expect(await until(() => canWrite(client, 'a'), 'commands to work')).toBe(true)
})

test('a connection that swallows what is sent is left for a new one, and that is an interruption', async () => {
  await using redis = await startRedis()
  await using wire = await TcpProxy.start(redis.server.port)
  await using client = connect(`redis://127.0.0.1:${wire.port}`)
  await client.untilReady(5000)
  let interruptions = 0
  client.onInterrupted = () => interruptions++
  wire.strand()
  await until(() => interruptions === 1, 'another connection')
  expect(await canWrite(client, 'key')).toBe(true)
})

test('a Sentinel failover is followed, and told as an interruption', async () => {
  await using redis = await startSentinelRedis()
  await using client = connect(redis.url)
  await client.untilReady(5000)
  let interruptions = 0
  client.onInterrupted = () => void interruptions++
  expect(await client.commands.set('a', '1')).toBe('OK')
  await redis.master.kill9()
  await until(() => canWrite(client, 'b'), 'writes to the new master')
  expect(await redis.replica.call('GET', 'b')).toBe('x')
  expect(interruptions).toBeGreaterThan(0)
})

test('the failover of a shard is followed, and told as an interruption', async () => {
  await using redis = await startRedisCluster({ replicas: true })
  await using client = connect(redis.url)
  await client.untilReady(5000)
  let interruptions = 0
  client.onInterrupted = () => void interruptions++
  const keys = Array.from({ length: 30 }, (_, i) => `k${i}`)
  for (const key of keys) expect(await canWrite(client, key)).toBe(true)
  await redis.masters[0]!.kill9()
  const allWritten = async () => (await Promise.all(keys.map((key) => canWrite(client, key)))).every(Boolean)
  await until(allWritten, 'writes to all shards')
  await until(() => interruptions > 0, 'the interruption')
})

test('a script that the server does not know is sent to it, on one server and on every shard', async () => {
  await using redis = await startRedisCluster()
  await using client = connect(redis.url)
  await client.untilReady(5000)
  const folder = mkdtempSync(join(tmpdir(), 'wochat-lua-'))
  writeFileSync(join(folder, 'echo.lua'), `return { KEYS[1], ARGV[1], '${randomUUID()}' }`)
  const script = new Script<[string, string, string]>('echo', pathToFileURL(`${folder}/`))
  rmSync(folder, { recursive: true })
  for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) {
    expect((await script.run(client, [key], ['x'])).slice(0, 2)).toEqual([key, 'x'])
  }
})
