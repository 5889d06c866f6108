/**
 * The devices that this node holds, and their routes in Redis.
 *
 * A claim that Redis did not answer is held all the same, and is made again when Redis is back: whoever else claimed the
 * device meanwhile wins by the store's generation, or by coming later.
 */
import type { ClientId } from '../../../protocol/ids.ts'
import type { ClaimAnswer, Routes } from '../../../services/redis/routes.ts'
import type { DeviceClaim, NodeId } from '../bus.ts'
import type { BusCounters } from './bus-counters.ts'

/** Claims made again in one step of a restoration; between steps the event loop goes on. */
const RESTORED_AT_ONCE = 500
/** Releases that Redis did not take; above, a route stays until its life is over or the device is claimed again. */
const UNRELEASED_MAX = 10_000

export type DeviceClaimsParts = {
  node: NodeId
  counters: BusCounters
  routes: Routes
  isReady: () => boolean
  /** Microseconds of Redis TIME, as far as known. */
  time: () => number
  /** Another node holds the device now. */
  onLost: (clientId: ClientId) => void
  /** The other node lost the device to a claim of this one. */
  tellLoser: (node: NodeId, clientId: ClientId, order: number) => void
  /** A claim may not be in Redis. */
  onUnsure: () => void
}

/** `lostTo`: the highest order of another node's claim, as its doorbell said. */
type Held = { claim: DeviceClaim; lostTo: number; isReleased: boolean }
type Waiting = { held: Held; settle: (answer: 'held' | 'lost') => void }

export class DeviceClaims {
  readonly #parts: DeviceClaimsParts
  readonly #held = new Map<ClientId, Held>()
  #waiting: Waiting[] = []
  #toRelease: DeviceClaim[] = []
  #isScheduled = false

  constructor(parts: DeviceClaimsParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#held.size
  }

  async claim(claim: DeviceClaim): Promise<'held' | 'lost'> {
    const held: Held = { claim, lostTo: 0, isReleased: false }
    this.#held.set(claim.clientId, held)
    this.#parts.counters.claimsMade++
    if (!this.#parts.isReady()) return this.#take(held, null)
    return new Promise((settle) => {
      this.#waiting.push({ held, settle })
      this.#schedule()
    })
  }

  release(claim: DeviceClaim): void {
    const held = this.#held.get(claim.clientId)
    if (held?.claim !== claim) return
    this.#held.delete(claim.clientId)
    held.isReleased = true
    // A claim without its order is on its way; its answer brings the release.
    if (claim.order !== 0) this.#queueRelease(claim)
  }

  /** The doorbell of another node that took a device. */
  lostTo(clientId: ClientId, order: number): void {
    const held = this.#held.get(clientId)
    if (held === undefined) return
    held.lostTo = Math.max(held.lostTo, order)
    if (held.claim.order !== 0 && order > held.claim.order) this.#drop(held)
  }

  /** Claims all again under their old places; false if Redis did not answer for each. */
  async restore(): Promise<boolean> {
    let isComplete = true
    this.#schedule()
    const all = [...this.#held.values()].filter(({ claim }) => claim.order !== 0)
    for (let at = 0; at < all.length; at += RESTORED_AT_ONCE) {
      const some = all.slice(at, at + RESTORED_AT_ONCE).filter(({ isReleased }) => !isReleased)
      const answers = await this.#parts.routes.claim(
        this.#parts.node,
        some.map(({ claim }) => claim),
      )
      some.forEach((held, i) => {
        const answer = answers[i]!
        if (answer === null) isComplete = false
        else if (this.#settle(held, answer) === 'lost') this.#drop(held)
      })
    }
    return isComplete
  }

  /** Resolves when Redis has taken what was released, or is away. */
  async drain(): Promise<void> {
    await this.#releaseQueued()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      void this.#claimWaiting()
      void this.#releaseQueued()
    })
  }

  async #claimWaiting(): Promise<void> {
    const waiting = this.#waiting
    this.#waiting = []
    if (waiting.length === 0) return
    const claims = waiting.map(({ held }) => held.claim)
    const answers = await this.#parts.routes.claim(this.#parts.node, claims)
    waiting.forEach(({ held, settle }, i) => {
      settle(this.#take(held, answers[i]!))
    })
  }

  #take(held: Held, answer: ClaimAnswer | null): 'held' | 'lost' {
    if (answer === null) {
      held.claim.order = this.#parts.time()
      this.#parts.onUnsure()
      return 'held'
    }
    const outcome = this.#settle(held, answer)
    if (outcome === 'lost') this.#parts.counters.claimsLost++
    if (outcome === 'lost' && this.#held.get(held.claim.clientId) === held)
      this.#held.delete(held.claim.clientId)
    return outcome
  }

  #settle(held: Held, { held: isHeld, order, other }: ClaimAnswer): 'held' | 'lost' {
    const { claim } = held
    if (!isHeld) return 'lost'
    claim.order = order
    if (other !== null) this.#parts.tellLoser(other, claim.clientId, order)
    if (held.isReleased) this.#queueRelease(claim)
    return held.lostTo > order ? 'lost' : 'held'
  }

  #drop(held: Held): void {
    if (this.#held.get(held.claim.clientId) !== held) return
    this.#held.delete(held.claim.clientId)
    this.#parts.counters.claimsLost++
    this.#parts.onLost(held.claim.clientId)
  }

  #queueRelease(claim: DeviceClaim): void {
    if (this.#toRelease.length >= UNRELEASED_MAX) return
    this.#toRelease.push(claim)
    this.#schedule()
  }

  async #releaseQueued(): Promise<void> {
    if (this.#toRelease.length === 0 || !this.#parts.isReady()) return
    const claims = this.#toRelease
    this.#toRelease = []
    const open = await this.#parts.routes.release(this.#parts.node, claims)
    // Again with the next restoration, which follows every outage.
    if (open.length > 0) this.#toRelease = [...open, ...this.#toRelease].slice(0, UNRELEASED_MAX)
  }
}
