/**
 * Rings other nodes: what each is to hear is gathered, and leaves as one numbered batch per turn of the event loop.
 *
 * A batch that cannot leave keeps its number, so that its receiver finds a hole. For some seconds after the last batch a
 * heartbeat repeats its number, so that the last one is missed as well.
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
  heartbeatsLeft: number
  idleTicks: number
}

export class Bells {
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
    this.#all = newTarget(null, keys.bellOfAll)
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

  /** Leaves at once; resolves with whether Redis has taken it. */
  tellAll(frame: Frame): Promise<boolean> {
    const bytes = encodeFrame(frame)
    this.#add(this.#all, bytes, 0, bytes.length)
    return this.#send(this.#all)
  }

  /** A doorbell that any of these nodes should have heard could not leave: each will find a hole. */
  missed(nodes: Iterable<NodeId>): void {
    for (const node of nodes) {
      if (node === this.#node) continue
      const target = this.#targetOf(node)
      // What was gathered before the hole has its number already when it leaves after it.
      void this.#send(target)
      target.number++
      target.heartbeatsLeft = HEARTBEATS
    }
  }

  /** Sends what was gathered, without waiting for the end of the turn. */
  flush(): void {
    this.#isScheduled = false
    for (const target of this.#dirty.splice(0)) void this.#send(target)
  }

  /** Once a second. */
  tick(isLive: (node: NodeId) => boolean): void {
    this.#beat(this.#all)
    for (const [node, target] of this.#targets) {
      this.#beat(target)
      if (target.idleTicks > IDLE_TICKS_MAX && !isLive(node)) this.#targets.delete(node)
    }
  }

  #targetOf(node: NodeId): Target {
    let target = this.#targets.get(node)
    if (target === undefined) {
      target = newTarget(node, this.#keys.bell(node))
      this.#targets.set(node, target)
    }
    return target
  }

  #add(target: Target, bytes: Buffer, start: number, end: number): void {
    if (target.writer === null) {
      target.writer = new FrameWriter()
      target.numberAt = beginBatch(target.writer, 'frames', this.#node).numberAt
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

  async #send(target: Target): Promise<boolean> {
    const { writer } = target
    if (writer === null) return true
    target.writer = null
    target.heartbeatsLeft = HEARTBEATS
    target.idleTicks = 0
    target.number++
    numberBatch(writer, target.numberAt, target.number)
    const isTaken = await this.#publish(target, writer)
    if (isTaken) this.#counters.batchesSent++
    else this.#counters.batchesDropped++
    return isTaken
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
  return { node, channel, number: 0, writer: null, numberAt: 0, heartbeatsLeft: 0, idleTicks: 0 }
}
