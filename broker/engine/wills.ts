/**
 * Wills of connected clients, and those whose delay runs (MQTT 5 section 3.1.3.2.2). They are on disk from before the
 * CONNACK until they are published or dropped: what a crash leaves is published after the restart.
 */
import type { PlainStore } from '../../services/store/plain.ts'
import type { Will } from '../gate/codec/decode-connect.ts'
import { decodeFields, encodeFields, type Publication } from './packet.ts'

/** Wills of one page at the start. */
const PAGE_WILLS = 100
/** setTimeout takes no more; a longer delay is set again. */
const TIMER_MS_MAX = 0x7fff_ffff

/** What is stored: `delaySeconds` is already held to the session's expiry. */
type StoredWill = Publication & { delaySeconds: number }

type Publish = (publication: Publication, from: string) => Promise<void>

export class Wills {
  readonly #store: PlainStore
  readonly #publish: Publish
  readonly #delayed = new Map<string, { will: StoredWill; timer: NodeJS.Timeout }>()

  constructor(store: PlainStore, publish: Publish) {
    this.#store = store
    this.#publish = publish
  }

  get delayed(): number {
    return this.#delayed.size
  }

  isDelayed(clientId: string): boolean {
    return this.#delayed.has(clientId)
  }

  /** Takes up what the process before left: its clients are gone, so their delays run from now. */
  async load(): Promise<void> {
    const now = Date.now()
    let after = ''
    for (;;) {
      const page = await this.#store.pagePlainWills({ after, entriesMax: PAGE_WILLS })
      for (const { clientId, will, publishAt } of page) {
        const stored = decodeFields<StoredWill>(will)
        await this.#later(clientId, stored, publishAt ?? now + stored.delaySeconds * 1000)
      }
      if (page.length < PAGE_WILLS) return
      after = page.at(-1)!.clientId
    }
  }

  /** The client is connected, with this will or with none; an earlier one is not published any more [MQTT-3.1.3-9]. */
  async connected(clientId: string, will: Will | undefined, sessionExpirySeconds: number): Promise<void> {
    const hadEarlier = this.#cancel(clientId) !== undefined
    if (will !== undefined) {
      const stored = encodeFields(toStored(will, sessionExpirySeconds))
      await this.#store.keepPlainWill({ clientId, will: stored, publishAt: null })
    } else if (hadEarlier) await this.#store.dropPlainWill(clientId)
  }

  /** The connection ended as it should: its will goes. */
  async drop(clientId: string): Promise<void> {
    await this.#store.dropPlainWill(clientId)
  }

  /** The connection was lost: its will is published, now or after its delay. */
  async release(clientId: string, will: Will, sessionExpirySeconds: number): Promise<void> {
    const stored = toStored(will, sessionExpirySeconds)
    const publishAt = Date.now() + stored.delaySeconds * 1000
    if (stored.delaySeconds > 0) {
      await this.#store.keepPlainWill({ clientId, will: encodeFields(stored), publishAt })
    }
    await this.#later(clientId, stored, publishAt)
  }

  /** The session is over, and so is the delay of its will. */
  async sessionEnded(clientId: string): Promise<void> {
    const will = this.#cancel(clientId)
    if (will !== undefined) await this.#publishNow(clientId, will)
  }

  /** Stops the timers; what they waited for is published after the next start. */
  close(): void {
    for (const { timer } of this.#delayed.values()) clearTimeout(timer)
    this.#delayed.clear()
  }

  async #later(clientId: string, will: StoredWill, publishAt: number): Promise<void> {
    this.#cancel(clientId)
    const delayMs = publishAt - Date.now()
    if (delayMs <= 0) {
      await this.#publishNow(clientId, will)
      return
    }
    const timer = setTimeout(
      () => {
        // Failures are logged by whoever publishes; the will stays on disk for the next start.
        this.#later(clientId, will, publishAt).catch(() => {})
      },
      Math.min(delayMs, TIMER_MS_MAX),
    )
    timer.unref()
    this.#delayed.set(clientId, { will, timer })
  }

  #cancel(clientId: string): StoredWill | undefined {
    const delayed = this.#delayed.get(clientId)
    if (delayed === undefined) return undefined
    clearTimeout(delayed.timer)
    this.#delayed.delete(clientId)
    return delayed.will
  }

  async #publishNow(clientId: string, { delaySeconds: _, ...publication }: StoredWill): Promise<void> {
    await this.#publish(publication, clientId)
    await this.#store.dropPlainWill(clientId)
  }
}

function toStored(
  { topic, payload, qos, retain, properties }: Will,
  sessionExpirySeconds: number,
): StoredWill {
  const { willDelayInterval = 0, ...rest } = properties
  return {
    topic,
    payload: Buffer.from(payload),
    qos,
    retain,
    properties: Object.keys(rest).length === 0 ? null : rest,
    delaySeconds: Math.min(willDelayInterval, sessionExpirySeconds),
  }
}
