/**
 * Hears other nodes: takes their batches apart and notices what is missing, a hole in the numbers or a node that falls
 * silent before it said that it would.
 */
import { type Batch, eachFrame, readBatch } from '../batch.ts'
import type { NodeId } from '../bus.ts'
import { type Frame, readFrame } from '../frame.ts'
import type { BusCounters } from './bus-counters.ts'

/** Heartbeats come each second. */
const SILENCE_MS = 3500
/** After that the numbers of a node that does not live are forgotten. */
const FORGET_MS = 120_000

type Pair = { last: number; heardAt: number; isExpected: boolean }

export type HearingParts = {
  node: NodeId
  counters: BusCounters
  onFrame: (frame: Frame, sender: NodeId) => void
  /** Doorbells are missing; whatever left before `since`, ms of the clock, was heard. */
  onHole: (since: number) => void
  /** Bytes that this version cannot read, or a frame whose handling failed. */
  onFailure: (error: unknown) => void
  /** ms, monotonic; that of `performance.now()` if not given. */
  now?: () => number
}

/** What was said on one channel; each has numbers of its own. */
export class Hearing {
  readonly #parts: HearingParts
  readonly #now: () => number
  readonly #pairs = new Map<NodeId, Pair>()

  constructor(parts: HearingParts) {
    this.#parts = parts
    this.#now = parts.now ?? (() => performance.now())
  }

  hear(message: Buffer): void {
    try {
      const batch = readBatch(message)
      if (batch === null) {
        this.#parts.counters.unknownHeard++
        this.#foundHole()
        return
      }
      if (batch.sender === this.#parts.node) return
      if (batch.kind === 'frames') this.#parts.counters.batchesHeard++
      const isWhole = this.#follows(batch)
      eachFrame(batch, (bytes, start, end) => this.#handle(bytes, start, end, batch.sender))
      if (!isWhole) this.#foundHole()
    } catch (error) {
      this.#parts.onFailure(error)
      this.#foundHole()
    }
  }

  /** Once a second. */
  tick(isLive: (node: NodeId) => boolean): void {
    const now = this.#now()
    for (const [sender, pair] of this.#pairs) {
      const silence = now - pair.heardAt
      if (pair.isExpected && silence > SILENCE_MS) {
        pair.isExpected = false
        this.#parts.onHole(pair.heardAt)
      }
      if (silence > FORGET_MS && !isLive(sender)) this.#pairs.delete(sender)
    }
  }

  /** A frame that fails must not take the ones behind it along. */
  #handle(bytes: Buffer, start: number, end: number, sender: NodeId): void {
    try {
      const frame = readFrame(bytes, start, end)
      if (frame === null) {
        this.#parts.counters.unknownHeard++
        return
      }
      this.#parts.counters.framesHeard++
      this.#parts.onFrame(frame, sender)
    } catch (error) {
      this.#parts.onFailure(error)
      this.#foundHole()
    }
  }

  /** In what was said just now: by the next batch or a heartbeat, or else by the silence. */
  #foundHole(): void {
    this.#parts.onHole(this.#now() - SILENCE_MS)
  }

  /** Whether nothing is missing before this batch. A sender's first batch for this node has number 1. */
  #follows({ kind, sender, number }: Batch): boolean {
    let pair = this.#pairs.get(sender)
    if (pair === undefined) {
      pair = { last: 0, heardAt: 0, isExpected: false }
      this.#pairs.set(sender, pair)
    }
    const expected = kind === 'frames' ? pair.last + 1 : pair.last
    pair.last = number
    pair.heardAt = this.#now()
    pair.isExpected = kind !== 'lastHeartbeat'
    return number === expected
  }
}
