/** Cursors on their way to the store: gathered, and written in batches of a flush time. */
import type { Store } from '../../services/store/contract.ts'
import type { InboxSession } from './inbox-session.ts'
import type { Link } from './link.ts'

export class CursorWriter {
  readonly #store: Pick<Store, 'saveCursors'>
  readonly #flushMs: number
  readonly #onError: (error: unknown) => void
  readonly #waiting = new Set<Link>()
  #timer: NodeJS.Timeout | null = null

  constructor(store: Pick<Store, 'saveCursors'>, flushMs: number, onError: (error: unknown) => void) {
    this.#store = store
    this.#flushMs = flushMs
    this.#onError = onError
  }

  add(link: Link): void {
    this.#waiting.add(link)
    this.#timer ??= setTimeout(() => this.flush().catch(this.#onError), this.#flushMs)
  }

  isWaiting(link: Link): boolean {
    return this.#waiting.has(link)
  }

  /** Writes the cursors of one session, or of all. A failed write is tried with the next: the cursors are still here. */
  async flush(session?: InboxSession): Promise<void> {
    const links =
      session === undefined ? [...this.#waiting] : [...this.#waiting].filter((l) => l.session === session)
    for (const link of links) this.#waiting.delete(link)
    if (session === undefined && this.#timer !== null) {
      clearTimeout(this.#timer)
      this.#timer = null
    }
    if (links.length === 0) return
    try {
      await this.#store.saveCursors(
        links.map(({ session: { number, generation }, log, cursor, epoch }) => ({
          session: number!,
          generation,
          log,
          seq: cursor,
          epoch,
        })),
      )
    } catch (error) {
      for (const link of links) this.add(link)
      throw error
    }
  }
}
