/**
 * When devices were last connected, on its way to the store: gathered, and of one device at most once a minute. What
 * a crash takes along is at most the last batch; then the time of the connect stands.
 */
import type { DeviceId, UserId } from '../../protocol/ids.ts'
import type { Store } from '../store/contract.ts'

type SeenDevice = { uid: UserId; device: DeviceId; at: number }

/** Shorter than it takes until somebody is told to be offline, so that `lastSeen` is then in the store. */
const GATHER_MS = 1000
const EACH_EVERY_MS = 60_000
const BATCH_MAX = 500
/** Devices whose last write is remembered; of others it may be written again too soon. */
const WRITTEN_MAX = 50_000
/** Devices that wait while the store is away; above, further ones keep the time of their connect. */
const WAITING_MAX = 100_000

export class SeenWriter implements AsyncDisposable {
  readonly #store: Pick<Store, 'perform'>
  readonly #onError: (error: unknown) => void
  #waiting = new Map<string, SeenDevice>()
  readonly #written = new Map<string, number>()
  #timer: NodeJS.Timeout | null = null

  constructor(store: Pick<Store, 'perform'>, onError: (error: unknown) => void) {
    this.#store = store
    this.#onError = onError
  }

  add(uid: UserId, device: DeviceId, at: number): void {
    const name = `${uid}/${device}`
    if (at - (this.#written.get(name) ?? 0) < EACH_EVERY_MS || this.#waiting.size >= WAITING_MAX) return
    this.#waiting.set(name, { uid, device, at })
    this.#timer ??= setTimeout(() => this.#flush().catch(this.#onError), GATHER_MS).unref()
  }

  async #flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const waiting = this.#waiting
    this.#waiting = new Map()
    const devices = [...waiting.values()]
    if (this.#written.size + devices.length > WRITTEN_MAX) this.#written.clear()
    for (const [name, { at }] of waiting) this.#written.set(name, at)
    for (let from = 0; from < devices.length; from += BATCH_MAX) {
      await this.#store.perform({
        task: 'noteDevicesSeen',
        input: { devices: devices.slice(from, from + BATCH_MAX) },
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flush().catch(this.#onError)
  }
}
