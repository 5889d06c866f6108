/**
 * Wills of connected clients, and those whose delay runs (MQTT 5 section 3.1.3.2.2). They are on disk from before the
 * CONNACK until they are published or dropped, and the commit that publishes one takes it away: so each is published
 * once, whoever tries. What a crash leaves is published after the restart, or by another node.
 */
import { randomUUID } from 'node:crypto'
import type { PlainStore } from '../../services/store/plain.ts'
import type { Will } from '../gate/codec/decode-connect.ts'
import { decodeFields, encodeFields, type Publication } from './packet.ts'

/** Wills read by one call. */
const PAGE_WILLS = 100
/** setTimeout takes no more; a longer delay is set again. */
const TIMER_MS_MAX = 0x7fff_ffff
/** How often a node looks for wills of the cluster whose time has come and that their own node did not publish. */
const SWEEP_MS = 1000
const OVERDUE_MS = 1000

/** What is stored: `delaySeconds` is already held to the session's expiry. `id` makes its text one of a kind. */
type StoredWill = Publication & { delaySeconds: number; id: string }

/** A will as it is in the store. */
export type WillRef = { clientId: string; will: string }

type Parts = {
  store: PlainStore
  /** Publishes it if it is still in the store, and takes it from there. */
  publish: (publication: Publication, will: WillRef) => Promise<void>
  /** Name of this node in a cluster; null in a process of its own. */
  node: string | null
  failed: (error: unknown) => void
}

export class Wills {
  readonly #parts: Parts
  /** Of connected clients: the text in the store. */
  readonly #held = new Map<string, string>()
  readonly #delayed = new Map<string, { will: string; timer: NodeJS.Timeout }>()
  #sweep: NodeJS.Timeout | null = null
  #isClosed = false

  constructor(parts: Parts) {
    this.#parts = parts
  }

  get delayed(): number {
    return this.#delayed.size
  }

  isDelayed(clientId: string): boolean {
    return this.#delayed.has(clientId)
  }

  /**
   * Takes up what the process before left: its clients are gone, so their delays run from now. In a cluster, where
   * other nodes hold wills too, begins to look for those that are due.
   */
  async load(): Promise<void> {
    if (this.#parts.node !== null) {
      this.#sweepLater()
      return
    }
    const now = Date.now()
    let after = ''
    for (;;) {
      const page = await this.#parts.store.pagePlainWills({ after, entriesMax: PAGE_WILLS })
      for (const { clientId, will, publishAt } of page) {
        const { delaySeconds } = decodeFields<StoredWill>(will)
        await this.#later(clientId, will, publishAt ?? now + delaySeconds * 1000)
      }
      if (page.length < PAGE_WILLS) return
      after = page.at(-1)!.clientId
    }
  }

  /** The client is connected, with this will or with none; an earlier one is not published any more [MQTT-3.1.3-9]. */
  async connected(clientId: string, will: Will | undefined, sessionExpirySeconds: number): Promise<void> {
    const { store, node } = this.#parts
    const earlier = this.#cancel(clientId)
    if (will !== undefined) {
      const stored = toStored(will, sessionExpirySeconds)
      const text = encodeFields(stored)
      this.#held.set(clientId, text)
      await store.keepPlainWill({
        clientId,
        will: text,
        delayMs: stored.delaySeconds * 1000,
        holder: node ?? '',
      })
    } else if (earlier !== undefined) await store.dropPlainWill({ clientId, will: earlier })
  }

  /** The connection ended as it should: its will goes. */
  async drop(clientId: string): Promise<void> {
    const will = this.#letGo(clientId)
    if (will !== undefined) await this.#parts.store.dropPlainWill({ clientId, will })
  }

  /** The connection was lost: its will is published, now or after its delay. */
  async release(clientId: string, sessionExpirySeconds: number): Promise<void> {
    const will = this.#letGo(clientId)
    if (will === undefined) return
    const { delaySeconds } = decodeFields<StoredWill>(will)
    const delayMs = Math.min(delaySeconds, sessionExpirySeconds) * 1000
    const publishAt = Date.now() + delayMs
    if (delayMs > 0) await this.#parts.store.delayPlainWill({ clientId, will, publishAt })
    await this.#later(clientId, will, publishAt)
  }

  /** The session is over, and so is the delay of its will. */
  async sessionEnded(clientId: string): Promise<void> {
    const will = this.#cancel(clientId)
    if (will !== undefined) await this.#publishNow(clientId, will)
  }

  /** Stops the timers; what they waited for is published after the next start, or by another node. */
  close(): void {
    this.#isClosed = true
    if (this.#sweep !== null) clearTimeout(this.#sweep)
    for (const { timer } of this.#delayed.values()) clearTimeout(timer)
    this.#delayed.clear()
  }

  #letGo(clientId: string): string | undefined {
    const will = this.#held.get(clientId)
    this.#held.delete(clientId)
    return will
  }

  async #later(clientId: string, will: string, publishAt: number): Promise<void> {
    this.#cancel(clientId)
    const delayMs = publishAt - Date.now()
    if (delayMs <= 0) {
      await this.#publishNow(clientId, will)
      return
    }
    const timer = setTimeout(
      () => {
        // The will stays on disk for the next start, or for another node.
        this.#later(clientId, will, publishAt).catch(this.#parts.failed)
      },
      Math.min(delayMs, TIMER_MS_MAX),
    )
    timer.unref()
    this.#delayed.set(clientId, { will, timer })
  }

  #cancel(clientId: string): string | undefined {
    const delayed = this.#delayed.get(clientId)
    if (delayed === undefined) return undefined
    clearTimeout(delayed.timer)
    this.#delayed.delete(clientId)
    return delayed.will
  }

  #publishNow(clientId: string, will: string): Promise<void> {
    const { delaySeconds: _, id: __, ...publication } = decodeFields<StoredWill>(will)
    return this.#parts.publish(publication, { clientId, will })
  }

  #sweepLater(): void {
    if (this.#isClosed) return
    this.#sweep = setTimeout(() => {
      this.#publishDue()
        .catch(this.#parts.failed)
        .finally(() => this.#sweepLater())
    }, SWEEP_MS)
    this.#sweep.unref()
  }

  async #publishDue(): Promise<void> {
    const due = await this.#parts.store.duePlainWills({ overdueMs: OVERDUE_MS, entriesMax: PAGE_WILLS })
    for (const { clientId, will } of due) {
      if (!this.#isClosed) await this.#publishNow(clientId, will)
    }
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
    id: randomUUID(),
  }
}
