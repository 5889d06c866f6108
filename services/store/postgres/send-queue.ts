/**
 * The group commit: sends gather while a batch commits, and each batch is one round trip and one transaction.
 *
 * When the outcome of a batch is unknown, nothing of it is answered: it is run again, under its ids, until it is
 * known. A batch that has certainly not been committed within `retryMs` is refused as busy; one that may have been is
 * tried for as long as it takes, or until the store is closed.
 */
import type { Pool, PoolClient } from 'pg'
import type { Logger } from 'pino'
import { type ErrorCode, WochatError } from '../../../protocol/errors.ts'
import type { UserId } from '../../../protocol/ids.ts'
import type { CommitFeed, SendJob, StoreMetrics } from '../contract.ts'
import { encodeEpoch } from '../epoch.ts'
import type { Availability } from './availability.ts'
import { kindOfFailure } from './failures.ts'
import { encodeSends } from './feed-report.ts'
import { commitSends, type Decisions, type NamedSend, nameSend, type SendContext } from './send-batch.ts'
import { ACCEPTED, NOT_STORED, refusalOf, STORED_BEFORE, WITHHELD, WITHHELD_BEFORE } from './send-codes.ts'

/** Sends and bytes of bodies in one batch; a batch holds at least one send. */
const BATCH_SENDS_MAX = 1000
const BATCH_BYTES_MAX = 4 * 1024 * 1024
/** Between two tries of a batch that met a deadlock. */
const CONFLICT_PAUSE_MAX_MS = 20
/** Between two tries of a batch whose time is over and whose outcome is still unknown. */
const UNKNOWN_RETRY_MS = 500
export const BUSY_RETRY_AFTER_MS = 1000

export type SendQueueSettings = {
  pool: Pool
  context: SendContext
  availability: Availability
  retryMs: number
  metrics: StoreMetrics
  feed: () => CommitFeed
  log: Pick<Logger, 'warn' | 'error'>
}

/** Jobs that are decided together, in the order in which they were handed in. */
class Batch {
  readonly jobs: SendJob[] = []
  /** What is sent to PostgreSQL: a job that repeats one of this batch has the place of that. */
  readonly sends: NamedSend[] = []
  readonly places: number[] = []
  readonly since = performance.now()
  readonly settled: Promise<void>
  isTaken = false
  settle!: () => void
  readonly #byId = new Map<string, number>()
  readonly #accounts = new Set<UserId>()
  #accountsOf = 0
  #bytes = 0

  constructor() {
    this.settled = new Promise((resolve) => {
      this.settle = resolve
    })
  }

  /** False when the job must wait for the next batch: this one is full, or has the job's id with another content. */
  add(job: SendJob): boolean {
    const isFull = this.sends.length >= BATCH_SENDS_MAX || this.#bytes + job.bodyJson.length > BATCH_BYTES_MAX
    if (this.isTaken || (isFull && this.sends.length > 0)) return false
    const key = job.id === null ? null : `${job.uid} ${job.id}`
    const known = key === null ? undefined : this.#byId.get(key)
    if (known !== undefined) {
      const first = this.sends[known]!.job
      if (first.log !== job.log || first.type !== job.type || first.bodyJson !== job.bodyJson) return false
      if (first.marks?.sentHash !== job.marks?.sentHash || first.marks?.refused !== job.marks?.refused)
        return false
    } else {
      if (key !== null) this.#byId.set(key, this.sends.length)
      this.sends.push(nameSend(job))
      this.#bytes += job.bodyJson.length
    }
    this.places.push(known ?? this.sends.length - 1)
    this.jobs.push(job)
    return true
  }

  has(uid: UserId): boolean {
    for (; this.#accountsOf < this.jobs.length; this.#accountsOf++) {
      this.#accounts.add(this.jobs[this.#accountsOf]!.uid)
    }
    return this.#accounts.has(uid)
  }
}

export class SendQueue {
  readonly #settings: SendQueueSettings
  readonly #batches: Batch[] = []
  #client: PoolClient | null = null
  #running: Promise<void> | null = null
  #isClosing = false

  constructor(settings: SendQueueSettings) {
    this.#settings = settings
  }

  push(job: SendJob): void {
    if (this.#batches.at(-1)?.add(job) !== true) {
      const batch = new Batch()
      batch.add(job)
      this.#batches.push(batch)
    }
    this.#running ??= this.#run()
  }

  /** Resolves when the last send of a user that is here now is decided; null when there is none. */
  pendingOf(uid: UserId): Promise<void> | null {
    return this.#batches.findLast((batch) => batch.has(uid))?.settled ?? null
  }

  /** Decides what is here, or gives it up after `retryMs`. */
  async close(): Promise<void> {
    this.#isClosing = true
    await this.#running
    this.#dropClient()
  }

  async #run(): Promise<void> {
    // The sends of one turn of the event loop belong together.
    await new Promise((resolve) => setImmediate(resolve))
    for (;;) {
      const batch = this.#batches[0]
      if (batch === undefined) break
      batch.isTaken = true
      await this.#decide(batch)
      this.#batches.shift()
      batch.settle()
    }
    this.#running = null
  }

  async #decide(batch: Batch): Promise<void> {
    const { metrics } = this.#settings
    const from = performance.now()
    const outcomes = await this.#commit(batch.sends)
    metrics.waiting -= batch.jobs.length
    metrics.commits++
    metrics.onCommit?.(batch.jobs.length, performance.now() - from)
    this.#tell(batch, outcomes)
  }

  /** An outcome per send. `mayBeStored`: an earlier try of these had an unknown outcome. */
  async #commit(sends: readonly NamedSend[], mayBeStored = false): Promise<Outcome[]> {
    const { availability, retryMs, context, log } = this.#settings
    const endAt = performance.now() + retryMs
    for (;;) {
      const wasSent: boolean = mayBeStored
      try {
        this.#client ??= await this.#settings.pool.connect()
        mayBeStored = true
        return outcomesOf(await commitSends(this.#client, sends, context), wasSent)
      } catch (error) {
        const kind = kindOfFailure(error)
        if (kind === 'away') {
          this.#dropClient()
          availability.lost(error)
        } else {
          // PostgreSQL has answered: this try has written nothing.
          mayBeStored = wasSent
          if (kind === 'other') return await this.#commitApart(sends, wasSent, error)
        }
        if (kind === 'full' && !mayBeStored) return refuseAll(sends, 'store_full', error)
        const isLate = performance.now() >= endAt
        if (isLate && (!mayBeStored || this.#isClosing)) return refuseAll(sends, 'busy', error)
        if (kind === 'away')
          await availability.untilBack(isLate ? UNKNOWN_RETRY_MS : endAt - performance.now())
        else await pause(Math.random() * CONFLICT_PAUSE_MAX_MS)
        availability.retries++
        log.warn({ err: error, sends: sends.length }, 'a batch of sends is run again')
      }
    }
  }

  /** A send that PostgreSQL cannot take must not take the others with it. */
  async #commitApart(sends: readonly NamedSend[], mayBeStored: boolean, error: unknown): Promise<Outcome[]> {
    if (sends.length === 1) {
      this.#settings.log.error({ err: error }, 'a send failed')
      return refuseAll(sends, 'internal', error)
    }
    const half = sends.length >> 1
    const first = await this.#commit(sends.slice(0, half), mayBeStored)
    return [...first, ...(await this.#commit(sends.slice(half), mayBeStored))]
  }

  #dropClient(): void {
    this.#client?.release(true)
    this.#client = null
  }

  /** Tells the jobs in their order, then the feed. */
  #tell({ jobs, places, sends }: Batch, outcomes: readonly Outcome[]): void {
    for (const [i, job] of jobs.entries()) {
      const outcome = outcomes[places[i]!]!
      if ('refused' in outcome) job.refused(outcome.refused)
      else job.accepted(outcome.seq, outcome.at)
    }
    const entries = sends.flatMap(({ job }, i) => {
      const outcome = outcomes[i]!
      return 'refused' in outcome || !outcome.isNew ? [] : [{ job, ...outcome }]
    })
    if (entries.length === 0) return
    this.#settings.metrics.entries += entries.length
    const { bytes, ends } = encodeSends(entries)
    const feed = this.#settings.feed()
    for (const [i, { job, epoch, seq, withheld }] of entries.entries()) {
      const { log, uid, device } = job
      const place = { bytes, start: ends[i - 1] ?? 0, end: ends[i]! }
      feed.entryCommitted({ log, epoch, seq, uid, device, withheld, ...place })
    }
  }
}

type Outcome =
  | { seq: number; at: number; epoch: string; isNew: boolean; withheld: boolean }
  | { refused: WochatError }

/** Every other code is a refusal. */
const TAKEN: ReadonlySet<number> = new Set([ACCEPTED, STORED_BEFORE, WITHHELD, WITHHELD_BEFORE, NOT_STORED])

/** `wasSent`: an earlier try may have stored them, and then nobody has heard of it. */
function outcomesOf({ codes, seqs, ats, epochs }: Decisions, wasSent: boolean): Outcome[] {
  return codes.map((code, i) => {
    if (!TAKEN.has(code)) return { refused: refusal(refusalOf(code)) }
    const withheld = code === WITHHELD || code === WITHHELD_BEFORE
    const isNew = code === ACCEPTED || code === WITHHELD || (wasSent && code !== NOT_STORED)
    return { seq: seqs[i]!, at: ats[i]!, epoch: encodeEpoch(epochs[i]!), isNew, withheld }
  })
}

function refuseAll(sends: readonly NamedSend[], code: ErrorCode, cause: unknown): Outcome[] {
  return sends.map(() => ({ refused: refusal(code, cause) }))
}

function refusal(code: ErrorCode, cause?: unknown): WochatError {
  const retryAfterMs = code === 'busy' ? { retryAfterMs: BUSY_RETRY_AFTER_MS } : {}
  return new WochatError(code, undefined, { ...retryAfterMs, ...(cause !== undefined && { cause }) })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
