/**
 * The SQLite store, seen from the event loop: it gathers what is handed in, gives the thread one batch at a time,
 * and settles the answers in order. While a batch commits, the next one gathers; that is the group commit.
 */
import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { ERROR_CODES, type ErrorBody, type ErrorCode, WochatError } from '../../../protocol/errors.ts'
import { assembleStore, NO_FEED } from '../assemble-store.ts'
import { keepClonable } from '../clonable-calls.ts'
import type { CommitFeed, SendJob, Store, StoredCall, StoreHealth, StoreMetrics } from '../contract.ts'
import { encodeEpoch } from '../epoch.ts'
import { tellChange } from '../feed-change.ts'
import type { BatchAnswer, CallMessage, CallResult, WorkerMessage, WorkerSettings } from './messages.ts'
import { OPERATION_NAMES } from './operation-names.ts'
import type { StoreCalls } from './operations.ts'
import { ReaderClient } from './reader-client.ts'
import { SendBatch } from './send-batch.ts'
import { DECISION_FIELDS, NOTHING_NEW, REFUSED, WITHHELD } from './sends.ts'
import type { FeedItem } from './work.ts'

export type SqliteSettings = WorkerSettings & {
  /** Sends that may wait for a commit before further ones are refused as busy. */
  waitingSendsMax: number
  /** Below this much free disk sends are refused, so that cursors and logouts can still be written. */
  diskReserveBytes: number
  /** The disk failed in a way that must not be retried. */
  onFatal: (error: Error) => void
}

const DISK_CHECK_MS = 1000
const YOUNG_GENERATION_MB = 64

type PendingCall = { resolve: (value: never) => void; reject: (error: Error) => void }

class SqliteClient {
  feed: CommitFeed = NO_FEED
  readonly metrics: StoreMetrics = { commits: 0, entries: 0, waiting: 0, onCommit: null }
  readonly #settings: SqliteSettings
  readonly #worker: Worker
  readonly #checkpointer: Worker
  readonly #reader: ReaderClient
  readonly #diskCheck: NodeJS.Timeout
  readonly #pending = new Map<number, PendingCall>()
  #gathering = new SendBatch()
  #calls: CallMessage[] = []
  #committing: SendBatch | null = null
  #committingSince = 0
  #scheduled = false
  #nextCall = 1
  #diskFreeBytes = Number.POSITIVE_INFINITY
  #closed: (() => void) | null = null
  #stopping = false

  static async open(settings: SqliteSettings): Promise<SqliteClient> {
    const { file, policy, unfiledAgeMaxMs } = settings
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: { file, policy, unfiledAgeMaxMs } satisfies WorkerSettings,
      // Entries outlive two collections before they are filed; a small young generation would copy each of them twice.
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    })
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve())
      worker.once('error', reject)
    })
    worker.removeAllListeners('error')
    const client = new SqliteClient(settings, worker)
    await client.#checkDisk()
    return client
  }

  private constructor(settings: SqliteSettings, worker: Worker) {
    this.#settings = settings
    this.#worker = worker
    worker.on('message', (message: WorkerMessage) => this.#onMessage(message))
    worker.on('error', (error) => settings.onFatal(error as Error))
    this.#checkpointer = new Worker(new URL('./checkpointer.ts', import.meta.url), {
      workerData: settings.file,
    })
    this.#checkpointer.on('error', (error) => settings.onFatal(error as Error))
    this.#reader = new ReaderClient({ file: settings.file, policy: settings.policy }, settings.onFatal)
    this.#diskCheck = setInterval(() => void this.#checkDisk(), DISK_CHECK_MS)
    this.#diskCheck.unref()
  }

  send(job: SendJob): void {
    if (this.#stopping) job.refused(new WochatError('shutting_down'))
    else if (this.#diskFreeBytes < this.#settings.diskReserveBytes) job.refused(new WochatError('store_full'))
    else if (this.metrics.waiting >= this.#settings.waitingSendsMax) {
      job.refused(new WochatError('busy', undefined, { retryAfterMs: 1000 }))
    } else {
      this.metrics.waiting++
      this.#gathering.jobs.push(job)
      this.#schedule()
    }
  }

  call(op: string, input: unknown): Promise<unknown> {
    if (this.#stopping) return Promise.reject(new WochatError('shutting_down'))
    if (op === 'run' && this.#reader.takes(input as StoredCall)) {
      return this.#reader.call(input as StoredCall).then(resultOf)
    }
    return new Promise((resolve, reject) => {
      const id = this.#nextCall++
      this.#pending.set(id, { resolve, reject })
      this.#calls.push({ id, op, input, before: this.#gathering.count })
      this.#schedule()
    })
  }

  async health(): Promise<StoreHealth> {
    await this.#checkDisk()
    const full = this.#diskFreeBytes < this.#settings.diskReserveBytes
    return { writable: !full, reason: full ? 'the disk is full' : null, diskFreeBytes: this.#diskFreeBytes }
  }

  async close(): Promise<void> {
    while (this.#committing !== null || this.#scheduled) await new Promise((resolve) => setImmediate(resolve))
    this.#stopping = true
    clearInterval(this.#diskCheck)
    await this.#reader.close()
    await this.#checkpointer.terminate()
    const closed = new Promise<void>((resolve) => {
      this.#closed = resolve
    })
    this.#worker.postMessage({ kind: 'close' })
    await closed
    await this.#worker.terminate()
  }

  #schedule(): void {
    if (this.#scheduled || this.#committing !== null) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#commit()
    })
  }

  #commit(): void {
    const batch = this.#gathering
    const calls = this.#calls
    this.#gathering = new SendBatch()
    this.#calls = []
    this.#committing = batch
    this.#committingSince = performance.now()
    try {
      this.#post(batch, calls)
    } catch {
      this.#post(
        batch,
        keepClonable(calls, structuredClone, ({ id }, error) => this.#refuseCall(id, error)),
      )
    }
  }

  /** Throws, and nothing has left, when a call holds what no other thread can have. */
  #post(batch: SendBatch, calls: readonly CallMessage[]): void {
    const { text, lengths, refused } = batch.pack(calls)
    this.metrics.waiting -= refused
    this.#worker.postMessage({ text, lengths, calls }, [lengths.buffer])
  }

  #onMessage(message: WorkerMessage): void {
    if (message.kind === 'batch') this.#settle(message)
    else if (message.kind === 'rolledBack') this.#refuseBatch(message.code, message.message, message.callIds)
    else if (message.kind === 'fatal') this.#settings.onFatal(new Error(message.message))
    else if (message.kind === 'closed') this.#closed?.()
  }

  #settle(answer: BatchAnswer): void {
    const { jobs } = this.#committing!
    const sends = jobs.length
    this.metrics.commits++
    this.metrics.entries += answer.ends.length
    this.metrics.waiting -= sends
    this.metrics.onCommit?.(sends, performance.now() - this.#committingSince)
    this.#report(jobs, answer)
    for (const result of answer.results) this.#settleCall(result)
    this.#next()
  }

  /** Tells jobs and feed, in the order of the effects; the entries' bytes come in that order too. */
  #report(jobs: SendJob[], { decisions, bytes, ends, feed }: BatchAnswer): void {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let line = 0
    let start = 0
    const range = () => {
      const from = start
      const end = ends[line++]!
      start = end + 1
      return { bytes: buffer, start: from, end }
    }
    let nextFeed = 0
    for (let i = 0; i < jobs.length; i++) {
      while (nextFeed < feed.length && feed[nextFeed]!.before <= i) this.#tell(feed[nextFeed++]!.item, range)
      const job = jobs[i]!
      const at = i * DECISION_FIELDS
      const code = decisions[at + 2]!
      if (code >= REFUSED) {
        job.refused(new WochatError(ERROR_CODES[code - REFUSED]!))
        continue
      }
      const seq = decisions[at]!
      job.accepted(seq, decisions[at + 1]!)
      if (code === NOTHING_NEW) continue
      const end = ends[line++]!
      this.feed.entryCommitted({
        log: job.log,
        epoch: encodeEpoch(decisions[at + 3]!),
        seq,
        uid: job.uid,
        device: job.device,
        withheld: code === WITHHELD,
        bytes: buffer,
        start,
        end,
      })
      start = end + 1
    }
    while (nextFeed < feed.length) this.#tell(feed[nextFeed++]!.item, range)
  }

  #tell(item: FeedItem, range: () => { bytes: Buffer; start: number; end: number }): void {
    if (item.kind === 'entry') this.#tellEntry(item, range())
    else tellChange(this.feed, item)
  }

  #tellEntry(
    { log, epoch, seq, uid, device, isPersonal }: Extract<FeedItem, { kind: 'entry' }>,
    place: { bytes: Buffer; start: number; end: number },
  ): void {
    if (isPersonal) this.feed.logGrew(log, epoch, seq)
    else this.feed.entryCommitted({ log, epoch, seq, uid, device, withheld: false, ...place })
  }

  #settleCall(result: CallResult): void {
    const pending = this.#pending.get(result.id)
    this.#pending.delete(result.id)
    try {
      pending?.resolve(resultOf(result) as never)
    } catch (error) {
      pending?.reject(error as Error)
    }
  }

  #refuseBatch(code: ErrorCode, message: string, callIds: number[]): void {
    const jobs = this.#committing?.jobs ?? []
    this.metrics.waiting -= jobs.length
    const error = new WochatError(code, undefined, { cause: new Error(message) })
    for (const job of jobs) job.refused(error)
    for (const id of callIds) this.#refuseCall(id, error)
    if (this.#committing !== null) this.#next()
  }

  #refuseCall(id: number, error: Error): void {
    this.#pending.get(id)?.reject(error)
    this.#pending.delete(id)
  }

  #next(): void {
    this.#committing = null
    if (this.#gathering.count > 0 || this.#calls.length > 0) this.#schedule()
  }

  async #checkDisk(): Promise<void> {
    const { bavail, bsize } = await statfs(dirname(this.#settings.file))
    this.#diskFreeBytes = bavail * bsize
  }
}

/** Throws what the thread refused, or how it failed. */
function resultOf(result: CallResult): unknown {
  if ('value' in result) return withBuffer(result.value)
  if ('refused' in result) throw refusal(result.refused)
  throw new Error(`the store failed: ${result.failed}`)
}

/** Bytes lose their kind on the way between threads; what the contract calls a Buffer is one again. */
function withBuffer(value: unknown): unknown {
  const bytes = (value as { bytes?: unknown } | undefined)?.bytes
  if (!(bytes instanceof Uint8Array)) return value
  return { ...(value as object), bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
}

function refusal(body: ErrorBody): WochatError {
  return new WochatError(body.code, body.message, {
    ...(body.retryAfterMs !== undefined && { retryAfterMs: body.retryAfterMs }),
    details: body.details,
  })
}

/** Opens the store of a data folder; the file is made if it is new. Rejects when the file cannot be opened or is of a newer version. */
export async function openSqliteStore(settings: SqliteSettings): Promise<Store> {
  const client = await SqliteClient.open(settings)
  return assembleStore<StoreCalls>(client, OPERATION_NAMES)
}
