/** What the tests of the fan-out share: a bus that writes down whom it rings, and workers as processes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import type { LogId } from '../../protocol/ids.ts'
import { createFanoutMetrics } from '../../services/fanout/fanout-metrics.ts'
import { FanoutWorker } from '../../services/fanout/fanout-worker.ts'
import type { Doorbells } from '../../services/fanout/ports.ts'
import { StreamQueue } from '../../services/fanout/stream-queue.ts'
import { Keys } from '../../services/redis/keys.ts'
import { RedisClient } from '../../services/redis/redis.ts'
import { LogBuffer } from '../harness/log-buffer.ts'
import { until, within } from '../harness/wait.ts'

export const SHARDS = 8
const BROADCAST_NODES_MIN = 8
const READY_MS = 5000

const silent = pino({ level: 'silent' })

export async function connect(url: string, name: string): Promise<RedisClient> {
  const client = new RedisClient({ url, name, log: silent })
  await client.untilReady(READY_MS)
  return client
}

/**
 * Doorbells whose other end is a list in Redis, so that what a worker rang outlives its `kill -9`. Who watches a group
 * is the setting of the test.
 */
class WrittenDoorbells implements Doorbells {
  readonly #client: RedisClient
  readonly #worker: string
  readonly #liveNodes: readonly string[]

  constructor(client: RedisClient, worker: string, liveNodes: readonly string[]) {
    this.#client = client
    this.#worker = worker
    this.#liveNodes = liveNodes
  }

  ring(nodes: readonly string[], frame: Buffer): void {
    this.#write({ worker: this.#worker, to: nodes, frame: frame.toString() })
  }

  broadcast(frame: Buffer): void {
    this.#write({ worker: this.#worker, to: 'all', frame: frame.toString() })
  }

  async watchersOf(group: LogId): Promise<string[]> {
    return (await this.#client.commands.smembers(`watch:${group}`)).sort()
  }

  liveNodes(): readonly string[] {
    return this.#liveNodes
  }

  lost(ageMs: number): void {
    this.#client.commands.rpush('losses', String(ageMs)).catch(() => {})
  }

  #write(ring: Ring): void {
    this.#client.commands.rpush('rings', JSON.stringify(ring)).catch(() => {})
  }
}

type Ring = { worker: string; to: readonly string[] | 'all'; frame: string }

export async function ringsOf(client: RedisClient): Promise<Ring[]> {
  return (await client.commands.lrange('rings', 0, -1)).map((line) => JSON.parse(line) as Ring)
}

/** Waits until each of the frames was rung at least once; resolves with all rings. */
export async function untilRung(
  client: RedisClient,
  frames: readonly string[],
  timeoutMs = 15_000,
): Promise<Ring[]> {
  let missing: string[] = []
  return until(
    async () => {
      const rings = await ringsOf(client)
      const rung = new Set(rings.map(({ frame }) => frame))
      missing = frames.filter((frame) => !rung.has(frame))
      return missing.length === 0 ? rings : null
    },
    () => `${missing.length} of ${frames.length} entries to be rung, the first is ${missing[0]}`,
    timeoutMs,
  )
}

export async function lossesOf(client: RedisClient): Promise<number[]> {
  return (await client.commands.lrange('losses', 0, -1)).map(Number)
}

/** A queue of a node on a connection of its own, and what it told of losses. */
export async function openQueue(url: string, node: string, streamItemsMax?: number) {
  const client = await connect(url, node)
  const metrics = createFanoutMetrics()
  const keys = new Keys('wochat')
  const losses: number[] = []
  const onLoss = (ageMs: number) => void losses.push(ageMs)
  const queue = new StreamQueue({
    ...{ client, keys, node, shards: SHARDS, metrics, onLoss, log: silent },
    ...(streamItemsMax !== undefined && { streamItemsMax }),
  })
  return {
    queue,
    client,
    metrics,
    losses,
    async [Symbol.asyncDispose]() {
      await queue[Symbol.asyncDispose]()
      await client[Symbol.asyncDispose]()
    },
  }
}

export async function openWorker(url: string, name: string, liveNodes: readonly string[] = ['a', 'b', 'c']) {
  const client = await connect(url, name)
  const metrics = createFanoutMetrics()
  const worker = new FanoutWorker({
    ...{ client, keys: new Keys('wochat'), node: name, shards: SHARDS, metrics, log: silent },
    doorbells: new WrittenDoorbells(client, name, liveNodes),
    policy: { broadcastNodesMin: BROADCAST_NODES_MIN },
  })
  await worker.start()
  return {
    worker,
    metrics,
    async [Symbol.asyncDispose]() {
      await worker[Symbol.asyncDispose]()
      await client[Symbol.asyncDispose]()
    },
  }
}

/** A worker as a process of its own, which can be killed and paused. */
export class WorkerProcess implements AsyncDisposable {
  readonly name = `worker.${randomUUID().slice(0, 8)}`
  readonly #child: ChildProcess
  readonly #log = new LogBuffer()
  readonly #exited: Promise<unknown>

  private constructor(url: string) {
    const program = new URL('fanout-worker-process.ts', import.meta.url).pathname
    this.#child = spawn(process.execPath, [program, url, this.name], { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      stream.setEncoding('utf8').on('data', (chunk: string) => this.#log.push(chunk))
    this.#exited = new Promise((resolve) => this.#child.once('close', resolve))
  }

  /** Resolves when it has joined the workers. */
  static async start(url: string): Promise<WorkerProcess> {
    const worker = new WorkerProcess(url)
    await until(
      () => worker.#log.text.includes('started'),
      () => `a worker to start:\n${worker.#log.text}`,
    )
    return worker
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal)
  }

  async kill9(): Promise<void> {
    this.#child.kill('SIGKILL')
    await within(this.#exited, 'a worker to end')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill9()
  }
}
