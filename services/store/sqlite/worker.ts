/**
 * The store's thread: one batch, one transaction, one fsync.
 *
 * A batch holds sends and calls in the order in which they were handed in. Each call has a savepoint, so that a
 * refused one leaves the others alone. A failure of the transaction rolls all of it back and reads the state again
 * from the file; a failed fsync ends the process, since nobody knows what such a disk holds.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { WochatError } from '../../../protocol/errors.ts'
import { AccountsIndex } from './accounts-index.ts'
import { Database } from './database.ts'
import { Logs, UNFILED_ENTRIES_MAX } from './logs.ts'
import type {
  BatchAnswer,
  BatchMessage,
  CallMessage,
  CallResult,
  WorkerMessage,
  WorkerSettings,
} from './messages.ts'
import { OPERATIONS } from './operations.ts'
import { SendDecider } from './sends.ts'
import type { Work } from './work.ts'

/** SQLITE_IOERR and its variants share the low byte [sqlite.org/rescode.html]. */
const SQLITE_IOERR = 10
const SQLITE_FULL = 13

const port = parentPort!
const settings = workerData as WorkerSettings

const db = new Database(settings.file)
db.migrate()
const accounts = new AccountsIndex(db)
const logs = new Logs(db, accounts, settings.policy)
const work: Work = { db, accounts, logs, policy: settings.policy, now: Date.now(), feed: [] }
logs.recover()

let filing: NodeJS.Timeout | null = null

port.on('message', (message: BatchMessage | { kind: 'close' }) => {
  if ('kind' in message) void close()
  else void runBatch(message)
})
port.postMessage({ kind: 'ready' } satisfies WorkerMessage)

/**
 * What a call awaits is there at once, so that a batch ends within the microtasks of its message: no other message
 * and no timer comes in between.
 */
async function runBatch(batch: BatchMessage): Promise<void> {
  let answer: BatchAnswer
  try {
    answer = await transact(() => decide(batch))
  } catch (error) {
    rollBack(batch, error)
    return
  }
  const transfer: ArrayBuffer[] = [answer.decisions.buffer, answer.bytes.buffer, answer.ends.buffer]
  for (const result of answer.results) collectBuffers(result, transfer)
  port.postMessage(answer, transfer)
  if (logs.unfiled > 0 && filing === null)
    filing = setTimeout(() => void fileIdle(), settings.unfiledAgeMaxMs)
}

async function transact<Result>(body: () => Result | Promise<Result>): Promise<Result> {
  work.now = Date.now()
  work.feed = []
  logs.begin(work.now)
  db.prepare('begin immediate').run()
  const result = await body()
  db.prepare('commit').run()
  return result
}

async function decide(batch: BatchMessage): Promise<BatchAnswer> {
  const sends = new SendDecider(work, batch.text, batch.lengths)
  const results: CallResult[] = []
  const feed: BatchAnswer['feed'] = []
  for (const call of batch.calls) {
    sends.decideUntil(call.before)
    results.push(await runCall(call))
    for (const item of work.feed) feed.push({ before: call.before, item })
    work.feed = []
  }
  sends.decideUntil(sends.count)
  const ends = lineEnds(logs.lines)
  const journal = logs.journal()
  if (logs.unfiled >= UNFILED_ENTRIES_MAX) logs.file()
  return { kind: 'batch', decisions: sends.decisions, bytes: exact(journal), ends, feed, results }
}

async function runCall({ id, op, input }: CallMessage): Promise<CallResult> {
  const { changes } = logs
  const { created } = accounts
  db.openSavepoint()
  try {
    return { id, value: await OPERATIONS[op as keyof typeof OPERATIONS](work, input as never) }
  } catch (error) {
    // What was appended is numbered already; only the whole batch can be undone.
    if (logs.changes !== changes || isDiskFailure(error)) throw error
    db.undoSavepoint()
    work.feed = []
    if (accounts.created !== created) accounts.reset()
    if (error instanceof WochatError) return { id, refused: error.toWire() }
    return { id, failed: describe(error) }
  } finally {
    db.closeSavepoint()
  }
}

function rollBack(batch: BatchMessage, error: unknown): void {
  if (!recover(error)) return
  port.postMessage({
    kind: 'rolledBack',
    code: primaryCode(error) === SQLITE_FULL ? 'store_full' : 'internal',
    message: describe(error),
    callIds: batch.calls.map((call) => call.id),
  } satisfies WorkerMessage)
}

/** Takes the transaction back and reads the state again; false when the disk cannot be trusted any more. */
function recover(error: unknown): boolean {
  if (primaryCode(error) === SQLITE_IOERR) {
    port.postMessage({ kind: 'fatal', message: describe(error) } satisfies WorkerMessage)
    return false
  }
  if (db.connection.isTransaction) db.prepare('rollback').run()
  accounts.reset()
  logs.recover()
  return true
}

/** SQLite's result code without its variant; 0 for what is not an error of SQLite. */
function primaryCode(error: unknown): number {
  return ((error as { errcode?: number }).errcode ?? 0) & 0xff
}

function isDiskFailure(error: unknown): boolean {
  return primaryCode(error) === SQLITE_IOERR || primaryCode(error) === SQLITE_FULL
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** Files what waited long enough, so that a quiet server keeps a short journal. */
async function fileIdle(): Promise<void> {
  filing = null
  try {
    await transact(() => logs.file())
  } catch (error) {
    // Nobody waits for an answer: the journal keeps what was not filed, and the next batch tries again.
    recover(error)
  }
}

function lineEnds(lines: readonly string[]): Uint32Array<ArrayBuffer> {
  const ends = new Uint32Array(lines.length)
  let end = -1
  for (let i = 0; i < lines.length; i++) {
    end += 1 + Buffer.byteLength(lines[i]!)
    ends[i] = end
  }
  return ends
}

/** The same bytes in a buffer of their own, which can be moved to the other thread. */
function exact(bytes: Buffer | null): Uint8Array<ArrayBuffer> {
  if (bytes === null) return new Uint8Array(0)
  if (bytes.byteLength === bytes.buffer.byteLength) return bytes as Uint8Array<ArrayBuffer>
  return new Uint8Array(bytes)
}

function collectBuffers(result: CallResult, transfer: ArrayBuffer[]): void {
  const bytes = 'value' in result ? (result.value as { bytes?: unknown } | undefined)?.bytes : undefined
  if (bytes instanceof Uint8Array && bytes.byteLength === bytes.buffer.byteLength) {
    transfer.push(bytes.buffer as ArrayBuffer)
  }
}

async function close(): Promise<void> {
  if (filing !== null) clearTimeout(filing)
  try {
    await transact(() => logs.file())
    db.connection.exec('pragma wal_checkpoint(truncate)')
  } catch (error) {
    // The journal is on disk, and the next start reads it; only a disk that lies must be told of.
    recover(error)
  }
  db.close()
  port.postMessage({ kind: 'closed' } satisfies WorkerMessage)
  port.close()
}
