/**
 * A worker of the fan-out: reads the streams of its shards, finds the nodes that watch each group, and rings them.
 *
 * **Which shards.** Workers renew a lease of a few seconds; the shards are shared among those that live
 * (`shards.ts`). So one worker reads a shard, and doorbells of a log keep their order. When a worker comes, goes or
 * wakes up from a pause, two may read one shard for up to a read's waiting time. An item goes to one of them, but
 * doorbells may then overtake each other. That costs a read of the store and loses nothing: order is an optimisation, an
 * inbox writes an entry only if it is the next one.
 *
 * **Taking over.** An item is acknowledged after its doorbells were handed to the bus. What a dead worker left
 * unacknowledged is claimed after {@link CLAIM_IDLE_MS}, so that every item is rung at least once, and twice at worst.
 *
 * **Watchers** are read after the items, for each turn anew: an entry was committed before it was appended, so a
 * device whose route is not seen here reads its heads after that commit (docs/adr/0005-cluster.md). A cache would break
 * this.
 *
 * **Redis emptied, failed over or away.** What was in the streams may be gone. The worker knows until when it had read
 * everything, and has all nodes ask the store from there ({@link Doorbells.lost}).
 */
import type { LogId } from '../../protocol/ids.ts'
import type { Keys } from '../redis/keys.ts'
import type { RedisClient, RedisLog } from '../redis/redis.ts'
import { endsInTime } from '../redis/stop-wait.ts'
import { readStreams } from '../redis/stream-reader.ts'
import { type StreamItem, WorkStream } from '../redis/work-stream.ts'
import { type AudiencePolicy, chooseAudience } from './audience.ts'
import type { FanoutMetrics } from './fanout-metrics.ts'
import type { Doorbells, NodeId } from './ports.ts'
import { shardsOf } from './shards.ts'
import { endWorkerLease, renewWorkerLease, WORKER_LEASE_MS } from './worker-lease.ts'

const RENEW_MS = 500
const CLAIM_EVERY_MS = 500
/** An item that was not acknowledged for this long is taken over; rings take milliseconds. */
const CLAIM_IDLE_MS = 3000
const CLAIM_ITEMS_MAX = 128
const TEND_EVERY_MS = 60_000
/** What is said of a stream whose history is not known: made anew under a worker that has just got its shard. */
const LOSS_AGE_UNKNOWN_MS = 60_000

type FanoutWorkerOptions = {
  client: RedisClient
  keys: Keys
  node: NodeId
  /** `fanoutShards` of the configuration; the same on every node. */
  shards: number
  doorbells: Doorbells
  policy: AudiencePolicy
  metrics: FanoutMetrics
  log: RedisLog
}

/** What is known of the history of a stream. */
type StreamState = {
  /** Everything appended before this time has been read, ms of `performance.now()`; null: not known. */
  readUntil: number | null
  /** Something may have been lost since. */
  isSuspect: boolean
}

export class FanoutWorker implements AsyncDisposable {
  readonly #options: FanoutWorkerOptions
  readonly #stream: WorkStream
  /** Own streams, by key. */
  #own = new Map<string, StreamState>()
  #renewedAt = -Infinity
  #isStopping = false
  /** Running readers, by what they read: `''` for all, in a Cluster the key of one stream. */
  readonly #readers = new Map<string, Promise<void>>()
  /** Items that are being rung, so that they are not claimed from oneself. */
  readonly #inHand = new Set<string>()
  readonly #timers: NodeJS.Timeout[] = []
  #renewing: Promise<void> | null = null
  #claiming: Promise<void> | null = null
  #tendAt = performance.now() + TEND_EVERY_MS

  constructor(options: FanoutWorkerOptions) {
    this.#options = options
    this.#stream = new WorkStream(options.client, options.node)
  }

  /** Streams that this worker reads now. */
  get ownStreams(): readonly string[] {
    return [...this.#own.keys()]
  }

  /** Takes part; resolves when the worker has its shards, or at once while Redis is away: it goes on trying. */
  async start(): Promise<void> {
    await this.#renew()
    this.#timers.push(
      setInterval(() => void this.#renew(), RENEW_MS),
      setInterval(() => {
        this.#claiming ??= this.#claimIdle().finally(() => {
          this.#claiming = null
        })
      }, CLAIM_EVERY_MS),
    )
  }

  /** Finishes what it has read, and leaves the rest to the other workers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    for (const timer of this.#timers) clearInterval(timer)
    await endsInTime(this.#finish(), 'the fan-out', this.#options.log)
  }

  async #finish(): Promise<void> {
    await Promise.all([...this.#readers.values(), this.#renewing, this.#claiming])
    // With Redis away the lease ends by itself.
    await endWorkerLease(this.#options.client, this.#options.keys, this.#options.node).catch(() => {})
  }

  // ---------------------------------------------------------------- shards

  #renew(): Promise<void> {
    this.#renewing ??= this.#renewLease().finally(() => {
      this.#renewing = null
    })
    return this.#renewing
  }

  /** With Redis away the shards stay as they are; readers fail meanwhile, and wait. */
  async #renewLease(): Promise<void> {
    const { client, keys, node, shards } = this.#options
    if (this.#isStopping) return
    try {
      const workers = await renewWorkerLease(client, keys, node)
      await this.#take(shardsOf(node, workers, shards).map((shard) => keys.fanoutStream(shard)))
      this.#renewedAt = performance.now()
    } catch (error) {
      if (client.isReady)
        this.#options.log.error({ err: error }, 'fan-out: the shares of the workers are not known')
    }
  }

  async #take(keys: readonly string[]): Promise<void> {
    const own = new Map<string, StreamState>()
    let isNew = false
    for (const key of keys) {
      const known = this.#own.get(key)
      if (known === undefined) isNew = (await this.#stream.ensure(key)) || isNew
      own.set(key, known ?? { readUntil: null, isSuspect: false })
    }
    this.#own = own
    this.#options.metrics.shards = own.size
    // A cluster that starts, or a Redis that was emptied just before.
    if (isNew) this.#tellLoss(LOSS_AGE_UNKNOWN_MS)
    const readers = this.#options.client.isCluster ? keys : keys.slice(0, 1).map(() => '')
    for (const reader of readers) {
      if (!this.#readers.has(reader)) this.#readers.set(reader, this.#read(reader))
    }
  }

  /** The own streams that a reader reads. A worker that was paused asks for its shards before it reads on. */
  async #keysOf(reader: string): Promise<readonly string[]> {
    if (performance.now() - this.#renewedAt > WORKER_LEASE_MS) await this.#renew()
    if (this.#isStopping) return []
    if (reader === '') return [...this.#own.keys()]
    return this.#own.has(reader) ? [reader] : []
  }

  // ---------------------------------------------------------------- reading

  async #read(reader: string): Promise<void> {
    const { client, node } = this.#options
    await readStreams({
      client,
      stream: this.#stream,
      name: `${node} fanout`,
      keys: () => this.#keysOf(reader),
      work: (items) => this.#work(items),
      drained: (keys, since) => this.#drained(keys, since),
      interrupted: (keys, error) => this.#interrupted(keys, error),
    })
    this.#readers.delete(reader)
  }

  #drained(keys: readonly string[], since: number): void {
    for (const key of keys) {
      const state = this.#own.get(key)
      if (state === undefined) continue
      if (state.isSuspect) this.#tellLossSince(state)
      state.readUntil = since
      state.isSuspect = false
    }
  }

  #interrupted(keys: readonly string[], error: Error): void {
    const { client, log } = this.#options
    for (const key of keys) {
      const state = this.#own.get(key)
      if (state !== undefined) state.isSuspect = true
    }
    if (client.isReady && !this.#isStopping) log.error({ err: error }, 'fan-out: a read of streams failed')
  }

  #tellLossSince({ readUntil }: StreamState): void {
    this.#tellLoss(readUntil === null ? LOSS_AGE_UNKNOWN_MS : Math.ceil(performance.now() - readUntil))
  }

  #tellLoss(ageMs: number): void {
    this.#options.metrics.losses++
    this.#options.doorbells.lost(ageMs)
  }

  // ---------------------------------------------------------------- work

  /** Rejects while Redis is away; the items stay pending, and are claimed later. */
  async #work(items: readonly StreamItem[]): Promise<void> {
    const { metrics } = this.#options
    for (const item of items) this.#inHand.add(nameOf(item))
    try {
      await this.#ring(items)
      // The rings of a turn leave at its end; an item is finished after them.
      await new Promise(setImmediate)
      await this.#stream.finish(items)
    } finally {
      for (const item of items) this.#inHand.delete(nameOf(item))
    }
    const [ms] = items.at(-1)!.id.split('-')
    metrics.lagMs = Math.max(0, Date.now() - Number(ms))
  }

  async #ring(items: readonly StreamItem[]): Promise<void> {
    const { doorbells, policy, metrics } = this.#options
    const turns = items.map(unpackItem)
    const groups = new Set(turns.flatMap(({ entries }) => entries.map(({ log }) => log)))
    const looked = [...groups].map(async (log) => [log, await doorbells.watchersOf(log)] as const)
    const watchers = new Map(await Promise.all(looked))
    const liveNodes = doorbells.liveNodes().length
    for (const { from, entries } of turns) {
      for (const { log, frame } of entries) {
        const audience = chooseAudience(watchers.get(log)!, from, liveNodes, policy)
        metrics.processed++
        if (audience.kind === 'broadcast') {
          doorbells.broadcast(frame)
          metrics.broadcast++
        } else if (audience.nodes.length > 0) {
          doorbells.ring(audience.nodes, frame)
          metrics.rung += audience.nodes.length
        }
      }
    }
  }

  async #claimIdle(): Promise<void> {
    const { client, metrics } = this.#options
    if (!client.isReady) return
    try {
      for (const key of this.#own.keys()) {
        const claimed = await this.#stream.claim(key, { idleMs: CLAIM_IDLE_MS, itemsMax: CLAIM_ITEMS_MAX })
        const items = claimed.filter((item) => !this.#inHand.has(nameOf(item)))
        if (items.length === 0) continue
        metrics.claimed += items.reduce((sum, item) => sum + unpackItem(item).entries.length, 0)
        await this.#work(items)
      }
      metrics.streamLength = await this.#stream.length([...this.#own.keys()])
      await this.#tend()
    } catch (error) {
      // A stream that was emptied is made again by its reader.
      if (client.isReady)
        this.#options.log.error({ err: error }, 'fan-out: unfinished items were not taken over')
    }
  }

  async #tend(): Promise<void> {
    if (performance.now() < this.#tendAt) return
    this.#tendAt = performance.now() + TEND_EVERY_MS
    for (const key of this.#own.keys()) {
      await this.#stream.renew(key)
      await this.#stream.forgetGone(key)
    }
  }
}

function nameOf({ key, id }: StreamItem): string {
  return `${key} ${id}`
}

/** `from <node> (<log> <frame>)...`, as `stream-queue.ts` packs it. */
function unpackItem({ fields }: StreamItem): { from: NodeId; entries: { log: LogId; frame: Buffer }[] } {
  const entries: { log: LogId; frame: Buffer }[] = []
  for (let i = 2; i + 1 < fields.length; i += 2)
    entries.push({ log: fields[i]!.toString() as LogId, frame: fields[i + 1]! })
  return { from: fields[1]!.toString(), entries }
}
