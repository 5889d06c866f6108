/**
 * Puts the doorbells of group logs into the streams of the fan-out, one stream per shard.
 *
 * What a node commits in one turn goes in one write; an item of a stream holds up to {@link ITEM_ENTRIES_MAX} entries:
 * `from <node> (<log> <frame>)...`. While a write is under way the next entries gather.
 *
 * **When Redis is away or a stream is full** new entries are dropped and counted, and what is in the stream stays. A
 * stream is never trimmed: nobody would know what was cut off and how old it was. Whoever drops knows both, and says
 * once a second to all nodes that entries of the last second or so may have rung nobody (`onLoss`);
 * those then ask the store. So with no worker at all, group messages arrive with the delay of that question.
 */
import type { LogId } from '../../protocol/ids.ts'
import type { Keys } from '../redis/keys.ts'
import type { RedisClient, RedisLog } from '../redis/redis.ts'
import { endsInTime } from '../redis/stop-wait.ts'
import { type Command, renewal, sendTogether } from '../redis/work-stream.ts'
import type { FanoutMetrics } from './fanout-metrics.ts'
import type { FanoutQueue, NodeId } from './ports.ts'
import { shardOf } from './shards.ts'

/** Items of one stream, beyond which nothing is appended; nodes that write in the same moment may pass it by one turn. */
const STREAM_ITEMS_MAX = 10_000
const ITEM_ENTRIES_MAX = 64
const ITEM_BYTES_MAX = 64 * 1024
/** Entries that wait while a write is under way. */
const WAITING_ENTRIES_MAX = 20_000
const WAITING_BYTES_MAX = 32 * 1024 * 1024
/** How long a full stream is left alone before its length is asked for again. */
const FULL_PROBE_MS = 250
/** Losses of this long are told together. */
const LOSS_EVERY_MS = 1000

type Waiting = { log: LogId; frame: Buffer; at: number }

type StreamQueueOptions = {
  client: RedisClient
  keys: Keys
  node: NodeId
  /** `fanoutShards` of the configuration; the same on every node. */
  shards: number
  metrics: FanoutMetrics
  /** Told that commits of up to `ageMs` ago may have rung nobody; {@link Doorbells.lost} makes all nodes ask the store. */
  onLoss: (ageMs: number) => void
  log: RedisLog
  /** For tests. */
  streamItemsMax?: number
}

export class StreamQueue implements FanoutQueue, AsyncDisposable {
  readonly #options: StreamQueueOptions
  readonly #streamItemsMax: number
  /** By shard, in the order of the commits. */
  #waiting = new Map<number, Waiting[]>()
  #waitingEntries = 0
  #waitingBytes = 0
  /** Full streams, and when to look again (ms of `performance.now()`). */
  readonly #fullUntil = new Map<number, number>()
  #writing: Promise<void> | null = null
  /** When the oldest entry that was dropped and not told of was handed in. */
  #lossSince: number | null = null
  readonly #lossTimer: NodeJS.Timeout

  constructor(options: StreamQueueOptions) {
    this.#options = options
    this.#streamItemsMax = options.streamItemsMax ?? STREAM_ITEMS_MAX
    this.#lossTimer = setInterval(() => this.#tellLoss(), LOSS_EVERY_MS).unref()
  }

  append(log: LogId, frame: Buffer): void {
    const entry = { log, frame, at: performance.now() }
    const isFull = this.#waitingEntries >= WAITING_ENTRIES_MAX || this.#waitingBytes >= WAITING_BYTES_MAX
    if (isFull || !this.#options.client.isReady) {
      this.#drop([entry])
      return
    }
    const shard = shardOf(log, this.#options.shards)
    const ofShard = this.#waiting.get(shard)
    if (ofShard === undefined) this.#waiting.set(shard, [entry])
    else ofShard.push(entry)
    this.#waitingEntries++
    this.#waitingBytes += frame.length
    this.#writing ??= this.#writeAll()
  }

  /** Resolves when all that was handed in is in the streams, or dropped. */
  async flush(): Promise<void> {
    await this.#writing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endsInTime(this.flush(), 'the queue of the fan-out', this.#options.log)
    this.#tellLoss()
    clearInterval(this.#lossTimer)
  }

  async #writeAll(): Promise<void> {
    // The rest of this turn's commits go with the first one.
    await new Promise(setImmediate)
    while (this.#waiting.size > 0) {
      const taken = this.#waiting
      this.#waiting = new Map()
      this.#waitingEntries = 0
      this.#waitingBytes = 0
      await this.#write(taken)
    }
    this.#writing = null
  }

  async #write(taken: ReadonlyMap<number, Waiting[]>): Promise<void> {
    const now = performance.now()
    const open: [number, Waiting[]][] = []
    for (const [shard, entries] of taken) {
      if (now < (this.#fullUntil.get(shard) ?? 0)) this.#drop(entries)
      else open.push([shard, entries])
    }
    if (open.length === 0) return
    try {
      await this.#append(open)
    } catch {
      // Whether some were appended is unknown: a doorbell may ring twice, but none may be missing unnoticed.
      for (const [, entries] of open) this.#drop(entries)
    }
  }

  async #append(open: readonly [number, Waiting[]][]): Promise<void> {
    const { client, keys, node, metrics } = this.#options
    await this.#measure(open.map(([shard]) => shard).filter((shard) => this.#fullUntil.has(shard)))
    const writable: [number, Waiting[]][] = []
    for (const [shard, entries] of open) {
      if (this.#fullUntil.has(shard)) this.#drop(entries)
      else writable.push([shard, entries])
    }
    const adds = writable.flatMap(([shard, entries]) =>
      packItems(entries).map(
        (fields): Command => ['xadd', keys.fanoutStream(shard), '*', 'from', node, ...fields],
      ),
    )
    const lengths = writable.map(([shard]): Command => ['xlen', keys.fanoutStream(shard)])
    const renewals = writable.map(([shard]) => renewal(keys.fanoutStream(shard)))
    const replies = await sendTogether(client, [...adds, ...lengths, ...renewals])
    writable.forEach(([shard, entries], i) => {
      metrics.appended += entries.length
      this.#noteLength(shard, Number(replies[adds.length + i]))
    })
  }

  async #measure(shards: readonly number[]): Promise<void> {
    const { client, keys } = this.#options
    const lengths = await sendTogether(
      client,
      shards.map((shard) => ['xlen', keys.fanoutStream(shard)]),
    )
    shards.forEach((shard, i) => {
      this.#noteLength(shard, Number(lengths[i]))
    })
  }

  #noteLength(shard: number, length: number): void {
    if (length < this.#streamItemsMax) this.#fullUntil.delete(shard)
    else this.#fullUntil.set(shard, performance.now() + FULL_PROBE_MS)
  }

  #drop(entries: readonly Waiting[]): void {
    this.#options.metrics.dropped += entries.length
    for (const { at } of entries) if (this.#lossSince === null || at < this.#lossSince) this.#lossSince = at
  }

  #tellLoss(): void {
    if (this.#lossSince === null || !this.#options.client.isReady) return
    const ageMs = Math.ceil(performance.now() - this.#lossSince)
    this.#lossSince = null
    this.#options.metrics.losses++
    this.#options.onLoss(ageMs)
  }
}

/** The fields of each item: log, frame, log, frame... */
function packItems(entries: readonly Waiting[]): (string | Buffer)[][] {
  const items: (string | Buffer)[][] = []
  let item: (string | Buffer)[] = []
  let bytes = 0
  for (const { log, frame } of entries) {
    if (item.length >= 2 * ITEM_ENTRIES_MAX || (item.length > 0 && bytes + frame.length > ITEM_BYTES_MAX)) {
      items.push(item)
      item = []
      bytes = 0
    }
    item.push(log, frame)
    bytes += frame.length
  }
  items.push(item)
  return items
}
