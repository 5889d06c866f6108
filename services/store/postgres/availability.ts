/**
 * Whether PostgreSQL does its work. Away from the first failure of a connection until a probe is answered; while it
 * is away new sends are refused, and what was begun tries again when it is back.
 */
import type { Logger } from 'pino'

const PROBE_EVERY_MS = 200

export class Availability {
  readonly #probe: () => Promise<unknown>
  readonly #log: Pick<Logger, 'warn' | 'info'>
  /** Calls and batches of sends that were run again. */
  retries = 0
  #reason: string | null = null
  #back: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(probe: () => Promise<unknown>, log: Pick<Logger, 'warn' | 'info'>) {
    this.#probe = probe
    this.#log = log
  }

  /** Why PostgreSQL does not work, or null. */
  get reason(): string | null {
    return this.#reason
  }

  get isAway(): boolean {
    return this.#reason !== null
  }

  lost(error: unknown): void {
    if (this.#reason !== null || this.#isClosed) return
    this.#reason = `PostgreSQL is away: ${(error as Error).message}`
    this.#log.warn({ err: error }, 'PostgreSQL is away; new sends are refused')
    this.#back = this.#probeUntilBack()
  }

  /** Resolves when PostgreSQL is back, or after `waitMs`. */
  async untilBack(waitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, Math.max(0, waitMs))
    })
    await Promise.race([this.#back, late])
    clearTimeout(timer)
  }

  close(): void {
    this.#isClosed = true
  }

  async #probeUntilBack(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#probe()
        break
      } catch (error) {
        this.#reason = `PostgreSQL is away: ${(error as Error).message}`
        await new Promise((resolve) => setTimeout(resolve, PROBE_EVERY_MS))
      }
    }
    this.#reason = null
    if (!this.#isClosed) this.#log.info('PostgreSQL is back')
  }
}
