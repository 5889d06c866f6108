/**
 * Runs calls, each in a transaction of its own, on a bounded number of connections.
 *
 * A deadlock or a lost connection runs the call again. When a connection is lost in its commit, PostgreSQL is asked
 * for the fate of the transaction, so that no call takes effect twice. A call that finds PostgreSQL away for
 * `retryMs` is refused as busy, and one whose fate stays unknown as `store_away`.
 */
import type { Pool, PoolClient, QueryResult } from 'pg'
import type { Logger } from 'pino'
import { WochatError } from '../../../protocol/errors.ts'
import type { CommitFeed } from '../contract.ts'
import type { Availability } from './availability.ts'
import { kindOfFailure } from './failures.ts'
import { reportItems } from './feed-report.ts'
import { BUSY_RETRY_AFTER_MS } from './send-queue.ts'
import { TransactionWork, type WorkSettings } from './transaction.ts'
import type { Work } from './work.ts'

/** Calls that may wait for a connection before further ones are refused as busy. */
export const WAITING_CALLS_MAX = 20_000
/** A call that keeps meeting deadlocks. */
const CONFLICTS_MAX = 20
const CONFLICT_PAUSE_MAX_MS = 20
const STATUS_PAUSE_MS = 50

const CLOCK = '(extract(epoch from clock_timestamp()) * 1000)::bigint as now'
/** A call that writes takes its transaction's id at once, by which its fate can be asked for. */
const BEGIN_WRITE = `begin; select pg_current_xact_id()::text as xid, ${CLOCK}`
const BEGIN_READ = `begin; select null::text as xid, ${CLOCK}`

/** How a call is run: `single` statements stand alone, without a transaction around them and without a clock. */
export type CallMode = 'write' | 'read' | 'single'

export type CallRunnerSettings = WorkSettings & {
  pool: Pool
  /** Calls at once. */
  callsMax: number
  retryMs: number
  availability: Availability
  feed: () => CommitFeed
  log: Pick<Logger, 'warn'>
}

type Effect<Result> = (work: Work) => Promise<Result>

export class CallRunner {
  readonly #settings: CallRunnerSettings
  readonly #waiting: (() => void)[] = []
  readonly #idle: (() => void)[] = []
  #running = 0

  constructor(settings: CallRunnerSettings) {
    this.#settings = settings
  }

  async run<Result>(mode: CallMode, effect: Effect<Result>): Promise<Result> {
    await this.#enter()
    try {
      return await this.#untilDone(mode, effect)
    } finally {
      this.#leave()
    }
  }

  /** Resolves when no call is under way; none may come any more. */
  async drained(): Promise<void> {
    if (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** Calls that wait for a connection. */
  get waiting(): number {
    return this.#waiting.length
  }

  async #enter(): Promise<void> {
    if (this.#running < this.#settings.callsMax) {
      this.#running++
      return
    }
    if (this.#waiting.length >= WAITING_CALLS_MAX) throw busy()
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** Hands its place to the next one. */
  #leave(): void {
    const next = this.#waiting.shift()
    if (next !== undefined) {
      next()
      return
    }
    this.#running--
    if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  async #untilDone<Result>(mode: CallMode, effect: Effect<Result>): Promise<Result> {
    const { retryMs, availability } = this.#settings
    const endAt = performance.now() + retryMs
    for (let conflicts = 0; ; ) {
      const attempt: Attempt<Result> = {
        client: null,
        work: null,
        result: undefined,
        isCommitting: false,
        xid: null,
      }
      try {
        return await this.#attempt(mode, effect, attempt)
      } catch (error) {
        const kind = error instanceof WochatError ? 'refused' : kindOfFailure(error)
        await this.#abandon(attempt, kind === 'away')
        if (kind === 'conflict' && ++conflicts <= CONFLICTS_MAX && performance.now() < endAt) {
          availability.retries++
          await pause(Math.random() * CONFLICT_PAUSE_MAX_MS)
          continue
        }
        if (kind === 'full') throw new WochatError('store_full', undefined, { cause: error })
        if (kind === 'conflict') throw busy(error)
        if (kind !== 'away') throw error
        availability.lost(error)
        if (attempt.isCommitting && (await this.#wasCommitted(attempt.xid, endAt, error))) {
          return this.#report(attempt.work!, attempt.result as Result)
        }
        if (performance.now() >= endAt) throw busy(error)
        availability.retries++
        await availability.untilBack(endAt - performance.now())
      }
    }
  }

  async #attempt<Result>(mode: CallMode, effect: Effect<Result>, attempt: Attempt<Result>): Promise<Result> {
    const client = await this.#settings.pool.connect()
    attempt.client = client
    if (mode === 'single') {
      const work = new TransactionWork(client, Date.now(), this.#settings)
      const result = await effect(work)
      this.#free(attempt)
      return this.#report(work, result)
    }
    const begun = (await client.query(
      mode === 'write' ? BEGIN_WRITE : BEGIN_READ,
    )) as unknown as QueryResult<{
      xid: string | null
      now: number
    }>[]
    const { xid, now } = begun[1]!.rows[0]!
    const work = new TransactionWork(client, now, this.#settings)
    attempt.xid = xid
    attempt.work = work
    attempt.result = await effect(work)
    attempt.isCommitting = true
    const { command } = await client.query('commit')
    if (command !== 'COMMIT') throw new Error('a statement of the call failed unseen, and it was rolled back')
    this.#free(attempt)
    return this.#report(work, attempt.result)
  }

  #report<Result>(work: TransactionWork, result: Result): Result {
    work.shareAccounts()
    if (work.feed.length > 0) reportItems(this.#settings.feed(), work.feed)
    return result
  }

  #free(attempt: Attempt<unknown>): void {
    attempt.client?.release()
    attempt.client = null
  }

  /** Ends the transaction of an attempt that failed. */
  async #abandon(attempt: Attempt<unknown>, isLost: boolean): Promise<void> {
    const { client } = attempt
    if (client === null) return
    attempt.client = null
    const isClean =
      !isLost &&
      (await client.query('rollback').then(
        () => true,
        () => false,
      ))
    client.release(!isClean)
  }

  /** The fate of a transaction whose commit was not answered. */
  async #wasCommitted(xid: string | null, endAt: number, cause: unknown): Promise<boolean> {
    // It has only read: whatever it has found is as good as committed.
    if (xid === null) return true
    const { pool, availability } = this.#settings
    for (;;) {
      try {
        const { rows } = await pool.query<{ status: string | null }>(
          'select pg_xact_status($1::xid8) as status',
          [xid],
        )
        const status = rows[0]?.status
        if (status === 'committed') return true
        if (status === 'aborted') return false
        // Its backend has not noticed yet that the connection is gone.
        await pause(STATUS_PAUSE_MS)
      } catch (error) {
        if (kindOfFailure(error) !== 'away') throw error
        await availability.untilBack(endAt - performance.now())
      }
      if (performance.now() >= endAt) throw new WochatError('store_away', undefined, { cause })
    }
  }
}

type Attempt<Result> = {
  client: PoolClient | null
  work: TransactionWork | null
  result: Result | undefined
  isCommitting: boolean
  xid: string | null
}

export function busy(cause?: unknown): WochatError {
  return new WochatError('busy', undefined, {
    retryAfterMs: BUSY_RETRY_AFTER_MS,
    ...(cause !== undefined && { cause }),
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
