/** How busy this node is: rates and delays of the last second, and whether the event loop still turns in time. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { NodeLoad } from '../cluster/bus.ts'

const EVERY_MS = 1000
const NS_PER_MS = 1e6
/** A turn that comes this late is a fault if it goes on. */
const LATE_MS = 1000
const LATE_TURNS = 3

type LoadSources = {
  connections: () => number
  connectionsMax: number
  sends: () => number
  deliveries: () => number
}

export class LoadMeter implements Disposable {
  readonly #sources: LoadSources
  readonly #delay = monitorEventLoopDelay({ resolution: 20 })
  readonly #timer: NodeJS.Timeout
  #at = performance.now()
  #sends = 0
  #deliveries = 0
  #sendsPerSecond = 0
  #deliveriesPerSecond = 0
  #delayMs = 0
  #lateTurns = 0

  constructor(sources: LoadSources) {
    this.#sources = sources
    this.#delay.enable()
    this.#timer = setInterval(() => this.#measure(), EVERY_MS).unref()
  }

  get load(): NodeLoad {
    return {
      connections: this.#sources.connections(),
      connectionsMax: this.#sources.connectionsMax,
      sendsPerSecond: this.#sendsPerSecond,
      deliveriesPerSecond: this.#deliveriesPerSecond,
      eventLoopDelayMs: this.#delayMs,
      memoryBytes: process.memoryUsage.rss(),
    }
  }

  /** Why the event loop is not fit to serve; null when it is. */
  get loopFault(): string | null {
    if (this.#lateTurns < LATE_TURNS) return null
    return `the event loop is stuck: its last ${this.#lateTurns} turns were late by more than ${LATE_MS} ms`
  }

  #measure(): void {
    const now = performance.now()
    const elapsedMs = now - this.#at
    const sends = this.#sources.sends()
    const deliveries = this.#sources.deliveries()
    this.#sendsPerSecond = perSecond(sends - this.#sends, elapsedMs)
    this.#deliveriesPerSecond = perSecond(deliveries - this.#deliveries, elapsedMs)
    this.#lateTurns = elapsedMs - EVERY_MS > LATE_MS ? this.#lateTurns + 1 : 0
    const delayNs = this.#delay.percentile(99)
    this.#delayMs = Number.isFinite(delayNs) ? Math.round(delayNs / NS_PER_MS) : 0
    this.#delay.reset()
    this.#at = now
    this.#sends = sends
    this.#deliveries = deliveries
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#delay.disable()
  }
}

function perSecond(count: number, elapsedMs: number): number {
  return Math.round((count * 1000) / elapsedMs)
}
