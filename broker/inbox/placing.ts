/**
 * Logs that rang for an inbox before it was known where they stand for its device. With doorbells out of order the
 * first ring need not be the first entry that the device has not seen, so the store is asked, once per turn.
 */
import type { LogId } from '../../protocol/ids.ts'
import type { BehindLog } from '../../services/store/contract.ts'
import type { InboxSession } from './inbox-session.ts'
import type { InboxServices, InboxWire } from './inbox-wire.ts'

type Placed = (asked: readonly LogId[], found: readonly BehindLog[]) => void
type Started = { wire: InboxWire; at: number; placed: Placed }

export class Placing {
  readonly #session: Pick<InboxSession, 'uid' | 'number'>
  readonly #services: InboxServices
  #waiting: LogId[] = []
  /** Null until the inbox has started: what rings before waits. */
  #started: Started | null = null

  constructor(session: Pick<InboxSession, 'uid' | 'number'>, services: InboxServices) {
    this.#session = session
    this.#services = services
  }

  /** `at`: when the inbox started, by the store's clock, ms. */
  start(wire: InboxWire, at: number, placed: Placed): void {
    this.#started = { wire, at, placed }
    if (this.#waiting.length > 0) this.#askSoon()
  }

  stop(): void {
    this.#started = null
    this.#waiting = []
  }

  add(log: LogId): void {
    this.#waiting.push(log)
    if (this.#waiting.length === 1) this.#askSoon()
  }

  #askSoon(): void {
    const started = this.#started
    if (started === null) return
    setImmediate(() => this.#ask(started).catch((error: unknown) => started.wire.failed(error)))
  }

  async #ask(started: Started): Promise<void> {
    if (this.#started !== started || this.#waiting.length === 0) return
    const logs = this.#waiting.splice(0)
    const found = await this.#services.shared!.store.placeLogs({
      uid: this.#session.uid,
      session: this.#session.number,
      startedAt: started.at,
      logs,
      backlogMax: this.#services.backlogEntriesMax,
    })
    if (this.#started === started) started.placed(logs, found)
  }
}
