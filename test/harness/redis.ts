/**
 * Real Redis processes of a test: one server, a master with Sentinel, or a Cluster; on free loopback ports, in temporary
 * folders, ended with the test.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { LogBuffer } from './log-buffer.ts'
import { findFreePort } from './ports.ts'
import { until, within } from './wait.ts'

const START_MS = 20_000
/** How long a server is silent before the others call it down. */
const DOWN_AFTER_MS = 1000

const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** One process of redis-server or redis-sentinel. */
export class RedisServer implements AsyncDisposable {
  readonly port: number
  readonly folder: string
  readonly log = new LogBuffer()
  readonly #command: string[]
  #child: ChildProcess | null = null
  #exited: Promise<void> = Promise.resolve()

  constructor(port: number, folder: string, command: string[]) {
    this.port = port
    this.folder = folder
    this.#command = command
  }

  /** A server on a free port. With `persistent` its data survives `kill9`, as far as written to its log of commands. */
  static async create(options: { persistent?: boolean; args?: string[] } = {}): Promise<RedisServer> {
    const port = await findFreePort()
    const folder = mkdtempSync(join(tmpdir(), 'wochat-redis-'))
    const { persistent = false, args = [] } = options
    return new RedisServer(port, folder, [
      'redis-server',
      ...['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
      ...['--appendonly', persistent ? 'yes' : 'no', '--appendfsync', 'always', ...args],
    ])
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error('this Redis is not running')
    return pid
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    const [program, ...args] = this.#command
    const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    children.add(child)
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => this.log.push(chunk))
    this.#exited = new Promise((resolve) => {
      const ended = () => {
        children.delete(child)
        if (this.#child === child) this.#child = null
        resolve()
      }
      child.once('close', ended)
      child.once('error', (error) => {
        this.log.push(`${error}\n`)
        ended()
      })
    })
    await until(
      async () => {
        if (this.#child !== child) throw new Error(`Redis ended at its start:\n${this.log.text}`)
        return (await this.call('PING').catch(() => null)) === 'PONG'
      },
      () => `Redis on ${this.port}:\n${this.log.text}`,
      START_MS,
    )
  }

  /** One command over a connection of its own. */
  async call(command: string, ...args: (string | number)[]): Promise<unknown> {
    const redis = new Redis({
      host: '127.0.0.1',
      port: this.port,
      retryStrategy: () => null,
      lazyConnect: true,
      commandTimeout: 5000,
    })
    redis.on('error', () => {})
    try {
      await redis.connect()
      return await redis.call(command, ...args)
    } finally {
      redis.disconnect()
    }
  }

  async kill9(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await within(this.#exited, 'Redis to end')
  }

  /** Kills and starts again; `empty`: without what it had on disk (a Cluster's own map is kept). */
  async restart({ empty = false } = {}): Promise<void> {
    await this.kill9()
    if (empty) this.#removeData()
    await this.start()
  }

  /** The process stands still with its connections open, as a paused virtual machine does. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  #removeData(): void {
    for (const name of readdirSync(this.folder)) {
      if (/^appendonlydir$|\.rdb$|\.aof$/.test(name))
        rmSync(join(this.folder, name), { recursive: true, force: true })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resume()
    await this.kill9()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** What every kind of Redis here is to a test. */
export interface TestRedis extends AsyncDisposable {
  readonly url: string
  /** Every server that holds data. */
  readonly servers: readonly RedisServer[]
}

class Group implements TestRedis {
  readonly url: string
  readonly servers: readonly RedisServer[]
  readonly #others: readonly RedisServer[]

  constructor(url: string, servers: readonly RedisServer[], others: readonly RedisServer[] = []) {
    this.url = url
    this.servers = servers
    this.#others = others
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#others, ...this.servers].map((server) => server[Symbol.asyncDispose]()))
  }
}

/** One server: `await using redis = await startRedis()`. */
export async function startRedis(
  options: { persistent?: boolean; args?: string[] } = {},
): Promise<TestRedis & { server: RedisServer }> {
  const server = await RedisServer.create(options)
  await startAll([server])
  return Object.assign(new Group(server.url, [server]), { server })
}

/** A master and a replica with one Sentinel, which makes the replica master some {@link DOWN_AFTER_MS} after the master fell silent. */
export async function startSentinelRedis(): Promise<
  TestRedis & { master: RedisServer; replica: RedisServer; sentinel: RedisServer }
> {
  const master = await RedisServer.create()
  const replica = await RedisServer.create({
    args: ['--replicaof', `127.0.0.1 ${master.port}`, '--repl-diskless-sync-delay', '0'],
  })
  await startAll([master, replica])
  const sentinel = await createSentinel(master.port)
  await startAll([sentinel], [master, replica])
  const group = new Group(`redis+sentinel://127.0.0.1:${sentinel.port}/wochat`, [master, replica], [sentinel])
  await until(async () => {
    const [known] = (await sentinel.call('SENTINEL', 'replicas', 'wochat')) as string[][]
    return known !== undefined && (await replicaIsInStep(replica))
  }, 'the Sentinel to know a replica that is in step')
  return Object.assign(group, { master, replica, sentinel })
}

async function createSentinel(masterPort: number): Promise<RedisServer> {
  const port = await findFreePort()
  const folder = mkdtempSync(join(tmpdir(), 'wochat-sentinel-'))
  const file = join(folder, 'sentinel.conf')
  writeFileSync(
    file,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder}`,
      `sentinel monitor wochat 127.0.0.1 ${masterPort} 1`,
      `sentinel down-after-milliseconds wochat ${DOWN_AFTER_MS}`,
      'sentinel failover-timeout wochat 3000',
      '',
    ].join('\n'),
  )
  return new RedisServer(port, folder, ['redis-sentinel', file])
}

/** A Cluster of `masters` (the first servers), each with one replica (the rest, in the same order) if asked. */
export async function startRedisCluster(
  options: { masters?: number; replicas?: boolean } = {},
): Promise<TestRedis & { masters: readonly RedisServer[]; replicas: readonly RedisServer[] }> {
  const { masters: count = 3, replicas: withReplicas = false } = options
  const servers: RedisServer[] = []
  for (let i = 0; i < count * (withReplicas ? 2 : 1); i++) servers.push(await createClusterServer())
  await startAll(servers)
  const masters = servers.slice(0, count)
  const replicas = servers.slice(count)
  try {
    await joinCluster(servers, masters)
    await assignReplicas(masters, replicas)
  } catch (error) {
    await new Group('', servers)[Symbol.asyncDispose]()
    throw error
  }
  const url = `redis+cluster://${masters.map(({ port }) => `127.0.0.1:${port}`).join()}`
  return Object.assign(new Group(url, servers), { masters, replicas })
}

async function createClusterServer(): Promise<RedisServer> {
  return RedisServer.create({
    args: [
      ...['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf'],
      ...['--cluster-node-timeout', `${DOWN_AFTER_MS}`, '--cluster-announce-ip', '127.0.0.1'],
      ...['--cluster-require-full-coverage', 'no', '--repl-diskless-sync-delay', '0'],
      // By default the port + 10,000, which may belong to somebody.
      ...['--cluster-port', `${await findFreePort()}`],
    ],
  })
}

async function joinCluster(servers: readonly RedisServer[], masters: readonly RedisServer[]): Promise<void> {
  const size = Math.ceil(16_384 / masters.length)
  for (const [i, master] of masters.entries()) {
    const last = Math.min((i + 1) * size, 16_384) - 1
    await master.call('CLUSTER', 'ADDSLOTSRANGE', i * size, last)
    await master.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
  }
  for (const server of servers) {
    const [, busPort] = (await server.call('CONFIG', 'GET', 'cluster-port')) as [string, string]
    await servers[0]!.call('CLUSTER', 'MEET', '127.0.0.1', server.port, busPort)
  }
  await untilAll(servers, async (server) => {
    const info = String(await server.call('CLUSTER', 'INFO'))
    return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${servers.length}`)
  })
}

async function assignReplicas(
  masters: readonly RedisServer[],
  replicas: readonly RedisServer[],
): Promise<void> {
  for (const [i, replica] of replicas.entries()) {
    const id = String(await masters[i]!.call('CLUSTER', 'MYID'))
    await until(
      async () => ((await replica.call('CLUSTER', 'REPLICATE', id).catch(() => null)) === 'OK' ? true : null),
      'a server to become a replica',
    )
  }
  await untilAll(replicas, replicaIsInStep)
  await untilAll(
    masters,
    async (master) =>
      replicas.length === 0 || String(await master.call('INFO', 'replication')).includes('state=online'),
  )
}

async function replicaIsInStep(server: RedisServer): Promise<boolean> {
  return String(await server.call('INFO', 'replication')).includes('master_link_status:up')
}

async function untilAll(
  servers: readonly RedisServer[],
  condition: (server: RedisServer) => Promise<boolean>,
): Promise<void> {
  for (const server of servers)
    await until(
      () => condition(server),
      () => `Redis on ${server.port}:\n${server.log.text}`,
      START_MS,
    )
}

/** Starts all; if one fails, ends all, `others` too. */
async function startAll(servers: readonly RedisServer[], others: readonly RedisServer[] = []): Promise<void> {
  try {
    for (const server of servers) await server.start()
  } catch (error) {
    await new Group('', [...servers, ...others])[Symbol.asyncDispose]()
    throw error
  }
}
