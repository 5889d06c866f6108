/**
 * Rooms that keep no entries: who is in one is known to the node of their connection alone, under a lease that ends with
 * the connection. Other nodes know which nodes have somebody in it.
 */
import { WochatError } from '../../protocol/errors.ts'
import type { LogId } from '../../protocol/ids.ts'
import type { LiveListener, LiveRoomSeats } from '../../services/presence/ports.ts'
import type { Bus } from '../cluster/bus.ts'

/** Rooms that one connection is in. */
const ROOMS_MAX = 100
const SWEEP_EVERY_MS = 5000

type Watching = Pick<Bus, 'watch' | 'unwatch'>

export class LiveRooms implements Pick<LiveRoomSeats, 'join' | 'leave'>, Disposable {
  readonly #bus: Watching
  readonly #rooms = new Map<LogId, Set<LiveListener>>()
  /** Until when, ms since 1970. */
  readonly #leases = new Map<LiveListener, Map<LogId, number>>()
  readonly #sweeping = setInterval(() => this.#sweep(), SWEEP_EVERY_MS).unref()

  constructor(bus: Watching) {
    this.#bus = bus
  }

  /** Connections in rooms, counted in each. */
  get size(): number {
    let sum = 0
    for (const listeners of this.#rooms.values()) sum += listeners.size
    return sum
  }

  async join(listener: LiveListener, room: LogId, until: number): Promise<void> {
    const leases = this.#leases.get(listener) ?? new Map<LogId, number>()
    if (!leases.has(room) && leases.size >= ROOMS_MAX) {
      throw new WochatError('too_many_watches', `a connection is in at most ${ROOMS_MAX} rooms`)
    }
    this.#leases.set(listener, leases.set(room, until))
    const listeners = this.#rooms.get(room)
    if (listeners === undefined) this.#rooms.set(room, new Set([listener]))
    else listeners.add(listener)
    await this.#bus.watch(room)
    // The connection may have ended meanwhile.
    if (!listener.isOpen) this.end(listener)
  }

  leave(listener: LiveListener, room: LogId): void {
    const leases = this.#leases.get(listener)
    if (leases?.delete(room) !== true) return
    if (leases.size === 0) this.#leases.delete(listener)
    const listeners = this.#rooms.get(room)
    listeners?.delete(listener)
    if (listeners?.size !== 0) return
    this.#rooms.delete(room)
    this.#bus.unwatch(room)
  }

  end(listener: LiveListener): void {
    for (const room of [...(this.#leases.get(listener)?.keys() ?? [])]) this.leave(listener, room)
  }

  listenersOf(room: LogId): ReadonlySet<LiveListener> {
    return this.#rooms.get(room) ?? NOBODY
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweeping)
  }

  #sweep(): void {
    const now = Date.now()
    for (const [listener, leases] of this.#leases) {
      for (const [room, until] of leases) if (until <= now) this.leave(listener, room)
    }
  }
}

const NOBODY: ReadonlySet<LiveListener> = new Set()
