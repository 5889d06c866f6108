/**
 * What one doorbell costs Redis and the nodes, in µs of CPU: the inputs of `capacity.ts` that no row of
 * docs/benchmarks.md has. Redis, a worker and three nodes run as they do in a cluster, on one machine; CPU time is
 * counted instead of wall time, because the machine is shared by all of them.
 *
 *     npx node test/simulation/measure.ts
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import { type BusListener, newNodeId } from '../../broker/cluster/bus.ts'
import { SILENT_LISTENER, SILENT_SIDE } from '../../broker/cluster/local-bus.ts'
import { RedisBus } from '../../broker/cluster/redis/redis-bus.ts'
import type { LogId, UserId } from '../../protocol/ids.ts'
import { createFanoutMetrics } from '../../services/fanout/fanout-metrics.ts'
import { StreamQueue } from '../../services/fanout/stream-queue.ts'
import { Keys } from '../../services/redis/keys.ts'
import { RedisClient } from '../../services/redis/redis.ts'
import { SHARDS } from '../cluster/fanout-parts.ts'
import { type RedisServer, startRedis } from '../harness/redis.ts'
import { until } from '../harness/wait.ts'

const ENTRY_BYTES = 350
const GROUPS = 1000
const MESSAGES = 60_000
const CONNECTS = 20_000
const GROUPS_OF_A_USER = 5
/** Entries that a node commits in one turn: under light load, and when it is busy. */
const TURNS = [1, 20]
const TICKS_PER_S = 100
const AHEAD_MAX = 4000

const log = pino({ level: 'silent' })

async function openNode(url: string, name: string, listener: BusListener = SILENT_LISTENER) {
  const client = new RedisClient({ url, name, log })
  const node = newNodeId(name)
  const metrics = createFanoutMetrics()
  const queue = new StreamQueue({
    ...{ client, keys: new Keys('wochat'), node, shards: SHARDS, metrics, log },
    onLoss: (ageMs) => bus.doorbells.lost(ageMs),
  })
  const bus = new RedisBus({
    ...{ client, keyPrefix: 'wochat', nodeLeaseMs: 10_000, takeoverTimeoutMs: 2000, log },
    ...{ node, fanout: queue },
    self: { name, version: '0', roles: ['broker'], adminUrl: () => null },
  })
  await bus.open({ ...SILENT_SIDE, listener })
  return { client, bus, queue }
}

/** s of CPU that a process has used, in hundredths. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S
}

/** s of CPU that Redis has used, in µs. */
async function redisSeconds(server: RedisServer): Promise<number> {
  const info = String(await server.call('INFO', 'cpu'))
  const [, sys, user] = /used_cpu_sys:([\d.]+)\s+used_cpu_user:([\d.]+)/.exec(info)!
  return Number(sys) + Number(user)
}

async function memoryOf(server: RedisServer): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(String(await server.call('INFO', 'memory')))![1])
}

async function startWorker(url: string): Promise<ChildProcess> {
  const program = new URL('measure-worker.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [program, url], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  await until(() => output.includes('started'), 'the worker to start')
  return child
}

async function main(): Promise<void> {
  await using redis = await startRedis()
  const aloneSince = await redisSeconds(redis.server)
  await rest(5000)
  const aloneUs = (((await redisSeconds(redis.server)) - aloneSince) / 5) * 1e6
  console.log(`Redis alone uses ${aloneUs.toFixed(0)} µs each second`)
  const worker = await startWorker(redis.url)
  const sender = await openNode(redis.url, 'sender')
  let heard = 0
  const receiver = await openNode(redis.url, 'receiver', {
    ...SILENT_LISTENER,
    entryCommitted: () => {
      heard++
    },
  })
  const second = await openNode(redis.url, 'second-receiver')
  const entryOf = (entryLog: LogId, seq: number) => ({
    ...{ log: entryLog, epoch: 'k1', seq, uid: 'sender' as UserId, device: null, withheld: false },
    ...{ bytes: Buffer.alloc(ENTRY_BYTES, 'x'), start: 0, end: ENTRY_BYTES },
  })
  const claimOf = (i: number) => ({
    ...{ clientId: `user${i}/phone` as never, uid: `user${i}` as UserId, device: 'phone' as never },
    ...{ session: i, generation: 1, order: 0 },
  })

  const measured = async (what: string, units: number, work: () => Promise<void>) => {
    const redisBefore = await redisSeconds(redis.server)
    const workerBefore = cpuSeconds(worker.pid!)
    await work()
    const redisUs = (((await redisSeconds(redis.server)) - redisBefore) / units) * 1e6
    const workerUs = ((cpuSeconds(worker.pid!) - workerBefore) / units) * 1e6
    console.log(`${what.padEnd(64)} Redis ${redisUs.toFixed(1)} µs, worker ${workerUs.toFixed(1)} µs`)
  }

  /** Sends in turns of `perTurn`, never more than {@link AHEAD_MAX} ahead of what was heard. */
  const send = async (perTurn: number, logOf: (i: number) => LogId) => {
    heard = 0
    for (let i = 0; i < MESSAGES; ) {
      for (let n = 0; n < perTurn && i < MESSAGES; n++, i++)
        sender.bus.outgoing.entryCommitted(entryOf(logOf(i), i))
      await new Promise(setImmediate)
      if (i - heard > AHEAD_MAX) await until(() => i - heard < AHEAD_MAX / 2, 'doorbells', 60_000)
    }
    await until(() => heard >= MESSAGES, 'all doorbells', 60_000)
  }

  const emptyBytes = await memoryOf(redis.server)
  try {
    await measured(
      `connect: claim of a device, ${GROUPS_OF_A_USER} groups that the node did not watch`,
      CONNECTS,
      async () => {
        for (let i = 0; i < CONNECTS; i += 100) {
          const batch = Array.from({ length: Math.min(100, CONNECTS - i) }, (_, n) => i + n)
          await Promise.all(
            batch.map(async (n) => {
              await receiver.bus.claim(claimOf(n))
              for (let g = 0; g < GROUPS_OF_A_USER; g++) await receiver.bus.watch(`g:of-${n}-${g}` as LogId)
            }),
          )
        }
      },
    )
    const bytes = await memoryOf(redis.server)
    console.log(`${Math.round((bytes - emptyBytes) / CONNECTS)} bytes of Redis a connect`)
    for (let g = 0; g < GROUPS; g++) await receiver.bus.watch(`g:${g}` as LogId)
    for (const perTurn of TURNS) {
      await measured(`direct message, ${perTurn} in a turn of the sending node`, MESSAGES, () =>
        send(perTurn, (i) => `d:sender:user${i % CONNECTS}` as LogId),
      )
      await measured(`group message to one other node, ${perTurn} in a turn`, MESSAGES, () =>
        send(perTurn, (i) => `g:${i % GROUPS}` as LogId),
      )
    }
    for (let g = 0; g < GROUPS; g++) await second.bus.watch(`g:${g}` as LogId)
    for (const perTurn of TURNS) {
      await measured(`group message to two other nodes, ${perTurn} in a turn`, MESSAGES, () =>
        send(perTurn, (i) => `g:${i % GROUPS}` as LogId),
      )
    }
    // Until the heartbeats after the last doorbells are over.
    await rest(10_000)
    await measured('nothing, four nodes, each second', 10, () => rest(10_000))
  } finally {
    worker.kill('SIGKILL')
    for (const node of [sender, receiver, second]) {
      await node.bus[Symbol.asyncDispose]()
      await node.queue[Symbol.asyncDispose]()
      await node.client[Symbol.asyncDispose]()
    }
  }
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

await main()
