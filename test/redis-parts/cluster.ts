/** What the runs need of a cluster of two brokers: where they listen, and how their parts are killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findFreePort } from '../harness/ports.ts'
import { PostgresServer } from '../harness/postgres.ts'
import { ServerProcess } from '../harness/server-process.ts'
import { until } from '../harness/wait.ts'

export interface Cluster extends AsyncDisposable {
  readonly name: string
  /** MQTT ports of the two brokers. */
  readonly ports: readonly [number, number]
  killBroker(which: 0 | 1): Promise<void>
  /** Ends Redis, and starts it again with its data. */
  restartRedis(): Promise<void>
}

async function startProcess(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<ChildProcess> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...env },
  })
  await once(child, 'spawn')
  return child
}

async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  await once(child, 'exit')
}

function untilListening(port: number): Promise<unknown> {
  return until(() => isListening(port), `a listener on port ${port}`, 30_000)
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

/** A Redis server that keeps what it has over a restart: every write is on disk before it is answered. */
class RedisProcess implements AsyncDisposable {
  readonly port: number
  readonly #folder = mkdtempSync(join(tmpdir(), 'redis-parts-'))
  #child: ChildProcess | null = null

  private constructor(port: number) {
    this.port = port
  }

  static async start(): Promise<RedisProcess> {
    const redis = new RedisProcess(await findFreePort())
    await redis.#run()
    return redis
  }

  async #run(): Promise<void> {
    const settings = { port: `${this.port}`, bind: '127.0.0.1', dir: this.#folder, appendonly: 'yes' }
    const args = Object.entries({ ...settings, appendfsync: 'always', loglevel: 'warning' })
    this.#child = await startProcess(
      'redis-server',
      args.flatMap(([name, value]) => [`--${name}`, value]),
    )
    await untilListening(this.port)
  }

  async restart(): Promise<void> {
    if (this.#child !== null) await endProcess(this.#child, 'SIGTERM')
    await this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child !== null) await endProcess(this.#child, 'SIGTERM')
    rmSync(this.#folder, { recursive: true })
  }
}

/** Two brokers of Aedes around one Redis. */
export async function startAedesCluster(): Promise<Cluster> {
  const redis = await RedisProcess.start()
  const ports = [await findFreePort(), await findFreePort()] as const
  const script = new URL('./aedes-node.ts', import.meta.url).pathname
  const brokers = await Promise.all(
    ports.map((port) => startProcess(process.execPath, [script, `${port}`, `${redis.port}`])),
  )
  await Promise.all(ports.map(untilListening))
  return {
    name: 'aedes + aedes-persistence-redis + mqemitter-redis',
    ports,
    killBroker: (which) => endProcess(brokers[which]!, 'SIGKILL'),
    restartRedis: () => redis.restart(),
    async [Symbol.asyncDispose]() {
      for (const broker of brokers) await endProcess(broker, 'SIGKILL')
      await redis[Symbol.asyncDispose]()
    },
  }
}

/** Two nodes of ours around one PostgreSQL and one Redis, in the profile that lets any client in. */
export async function startWochatCluster(): Promise<Cluster> {
  const postgres = await PostgresServer.start()
  const redis = await RedisProcess.start()
  const folder = mkdtempSync(join(tmpdir(), 'redis-parts-'))
  const env = {
    WOCHAT_DATABASE_URL: postgres.url(),
    WOCHAT_REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    WOCHAT_OPEN_PLAIN: 'true',
  }
  const nodes = [
    await ServerProcess.create(folder, 'a', { ...env, WOCHAT_NODE_NAME: 'a' }),
    await ServerProcess.create(folder, 'b', { ...env, WOCHAT_NODE_NAME: 'b' }),
  ] as const
  for (const node of nodes) await node.start()
  return {
    name: 'wochat',
    ports: [nodes[0].mqttPort, nodes[1].mqttPort],
    killBroker: async (which) => {
      await nodes[which].kill9()
    },
    restartRedis: () => redis.restart(),
    async [Symbol.asyncDispose]() {
      for (const node of nodes) if (node.running) await node.kill9()
      await redis[Symbol.asyncDispose]()
      await postgres[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true })
    },
  }
}
