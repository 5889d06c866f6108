/** Who may come in: bounds on connections and on CONNECTs per address, checked before any work is done for a socket. */
import { addressKey } from '../../services/address-key.ts'
import type { Clock } from './clock.ts'

const WINDOW_MS = 1000
/** Addresses counted in one window; beyond it all of the rest share one count. */
const ADDRESSES_MAX = 100_000
const REST = 'rest'

export class Admission {
  readonly #clock: Clock
  readonly #connectionsMax: number
  readonly #perAddressMax: number
  readonly #counts = new Map<string, number>()
  #windowStart = 0
  #connections = 0
  /** No new connections: the node is stopping. */
  isClosed = false
  /** CONNECTs are told to go elsewhere. */
  isDraining = false

  /** `perAddressMax` CONNECTs per second and address; 0 is no bound. */
  constructor(clock: Clock, connectionsMax: number, perAddressMax: number) {
    this.#clock = clock
    this.#connectionsMax = connectionsMax
    this.#perAddressMax = perAddressMax
  }

  /** A socket was opened. False: close it. */
  open(): boolean {
    if (this.isClosed || this.#connections >= this.#connectionsMax) return false
    this.#connections++
    return true
  }

  closed(): void {
    this.#connections--
  }

  /** A CONNECT arrived. False: refuse it as busy. */
  connect(address: string): boolean {
    if (this.#perAddressMax === 0) return true
    if (this.#clock.now - this.#windowStart >= WINDOW_MS) {
      this.#windowStart = this.#clock.now
      this.#counts.clear()
    }
    const address64 = addressKey(address)
    const key = this.#counts.size < ADDRESSES_MAX || this.#counts.has(address64) ? address64 : REST
    const count = (this.#counts.get(key) ?? 0) + 1
    this.#counts.set(key, count)
    return count <= this.#perAddressMax
  }
}
