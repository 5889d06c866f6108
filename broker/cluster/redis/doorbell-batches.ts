/**
 * Rings other nodes: what each is to hear is gathered, and leaves as one numbered batch per turn of the event loop.
 *
 * A batch that cannot leave keeps its number, so that its receiver finds a hole. For some seconds after the last batch a
 * heartbeat repeats its number, so that the last one is missed as well. Neither says how old the missing one is: that is
 * told by the sender, in the first batch that leaves again.
 */
import type { Keys } from '../../../services/redis/keys.ts'
import type { RedisClient } from '../../../services/redis/redis.ts'
import { addFrame, type BatchKind, beginBatch, numberBatch } from '../batch.ts'
import type { NodeId } from '../bus.ts'
import { encodeFrame, type Frame } from '../frame.ts'
import { FrameWriter } from '../frame-writer.ts'
import type { BusCounters } from './bus-counters.ts'

/** A batch that grows past this leaves at once. */
const BATCH_BYTES_MAX = 1024 * 1024
/** Batches that Redis has not taken yet; above, they are dropped, and their receivers find the hole. */
const BYTES_IN_FLIGHT_MAX = 64 * 1024 * 1024
/** Once a second after the last batch. */
const HEARTBEATS = 5
/** Seconds after which a silent target that does not live is forgotten. */
const IDLE_TICKS_MAX = 60

type Target = {
  /** null: all of them. */
  node: NodeId | null
  channel: string
  number: number
  writer: FrameWriter | null
  numberAt: number
  /** When the oldest of what is in `writer` was handed in, ms of `performance.now()`. */
  since: number
  /** The same of what could not leave, and was not told of yet; Infinity when all has left. */
  missedSince: number
  heartbeatsLeft: number
  idleTicks: number
}

export class DoorbellBatches {
  readonly #client: RedisClient
  readonly #keys: Keys
  readonly #node: NodeId
  readonly #counters: BusCounters
  readonly #targets = new Map<NodeId, Target>()
  readonly #all: Target
  readonly #dirty: Target[] = []
  /** Redis has taken a batch for a node that nobody listens for. */
  onUnheard: (node: NodeId) => void = () => {}
  #isScheduled = false
  #bytesInFlight = 0

  constructor(client: RedisClient, keys: Keys, node: NodeId, counters: BusCounters) {
    this.#client = client
    this.#keys = keys
    this.#node = node
    this.#counters = counters
    this.#all = newTarget(null, keys.doorbellOfAll)
  }

  /** What Redis has not taken yet. */
  get bytesInFlight(): number {
    return this.#bytesInFlight
  }

  /** The frame in `bytes[start, end)` is copied. */
  ring(node: NodeId, bytes: Buffer, start = 0, end = bytes.length): void {
    this.#add(this.#targetOf(node), bytes, start, end)
  }

  ringWith(node: NodeId, frame: Frame): void {
    this.ring(node, encodeFrame(frame))
  }

  /** Every other node hears it once. */
  ringAll(bytes: Buffer, start = 0, end = bytes.length): void {
    this.#add(this.#all, bytes, start, end)
  }

  /** The last word to all, behind what they missed; resolves when Redis has taken it, or did not. */
  async tellAll(frame: Frame): Promise<void> {
    for (const { missedSince } of this.#targets.values()) this.missed(missedSince)
    this.#tellMissed(this.#all)
    this.ringAll(encodeFrame(frame))
    await this.#send(this.#all)
  }

  /** Doorbells since then (ms of `performance.now()`) could not leave, whomever they were for. All are told by the next tick. */
  missed(since: number): void {
    this.#all.missedSince = Math.min(this.#all.missedSince, since)
  }

  /** Sends what was gathered, without waiting for the end of the turn. */
  flush(): void {
    this.#isScheduled = false
    for (const target of this.#dirty.splice(0)) void this.#send(target)
  }

  /** Once a second. */
  tick(isLive: (node: NodeId) => boolean): void {
    this.#tellMissed(this.#all)
    this.#beat(this.#all)
    for (const [node, target] of this.#targets) {
      this.#tellMissed(target)
      this.#beat(target)
      if (target.idleTicks > IDLE_TICKS_MAX && !isLive(node)) this.#targets.delete(node)
    }
  }

  #targetOf(node: NodeId): Target {
    let target = this.#targets.get(node)
    if (target === undefined) {
      target = newTarget(node, this.#keys.doorbell(node))
      this.#targets.set(node, target)
    }
    return target
  }

  #add(target: Target, bytes: Buffer, start: number, end: number): void {
    if (target.writer === null) {
      target.writer = new FrameWriter()
      target.numberAt = beginBatch(target.writer, 'frames', this.#node).numberAt
      target.since = performance.now()
      this.#dirty.push(target)
      this.#schedule()
    }
    addFrame(target.writer, bytes, start, end)
    this.#counters.framesSent++
    if (target.writer.at > BATCH_BYTES_MAX) void this.#send(target)
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.flush())
  }

  async #send(target: Target): Promise<void> {
    const { writer, since } = target
    if (writer === null) return
    target.writer = null
    target.heartbeatsLeft = HEARTBEATS
    target.idleTicks = 0
    target.number++
    numberBatch(writer, target.numberAt, target.number)
    const isTaken = await this.#publish(target, writer)
    if (isTaken) {
      this.#counters.batchesSent++
      return
    }
    this.#counters.batchesDropped++
    target.missedSince = Math.min(target.missedSince, since)
  }

  /** A batch that says so is as old as what was missed, so that nothing is forgotten when it cannot leave either. */
  #tellMissed(target: Target): void {
    const { missedSince } = target
    if (missedSince === Number.POSITIVE_INFINITY || !this.#client.isReady) return
    target.missedSince = Number.POSITIVE_INFINITY
    const bytes = encodeFrame({ kind: 'lost', ageMs: Math.ceil(performance.now() - missedSince) })
    this.#add(target, bytes, 0, bytes.length)
    target.since = Math.min(target.since, missedSince)
  }

  /** A target that has just been rung needs no heartbeat, but one that is in the middle of its silence does. */
  #beat(target: Target): void {
    target.idleTicks++
    if (target.heartbeatsLeft === 0 || target.writer !== null) return
    target.heartbeatsLeft--
    const kind: BatchKind = target.heartbeatsLeft === 0 ? 'lastHeartbeat' : 'heartbeat'
    const writer = new FrameWriter(128)
    const { numberAt } = beginBatch(writer, kind, this.#node)
    numberBatch(writer, numberAt, target.number)
    void this.#publish(target, writer)
  }

  /** What does not leave is a hole, and heartbeats go on until one of them has told so. */
  async #publish(target: Target, { bytes, at }: FrameWriter): Promise<boolean> {
    let isTaken = false
    if (this.#client.isReady && this.#bytesInFlight <= BYTES_IN_FLIGHT_MAX) {
      this.#bytesInFlight += at
      const { commands, isCluster } = this.#client
      const message = bytes.subarray(0, at)
      const published = isCluster
        ? commands.spublish(target.channel, message)
        : commands.publish(target.channel, message)
      const listeners = await published.catch(() => null)
      isTaken = listeners !== null
      this.#bytesInFlight -= at
      if (listeners === 0 && target.node !== null) this.onUnheard(target.node)
    }
    if (!isTaken) target.heartbeatsLeft = HEARTBEATS
    return isTaken
  }
}

function newTarget(node: NodeId | null, channel: string): Target {
  return {
    node,
    channel,
    number: 0,
    writer: null,
    numberAt: 0,
    since: 0,
    missedSince: Number.POSITIVE_INFINITY,
    heartbeatsLeft: 0,
    idleTicks: 0,
  }
}
