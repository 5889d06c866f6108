/**
 * A second thread of the store, whose connection cannot write: it answers what would hold up the commits of everybody
 * else. A call sees the file as the last commit left it, and nothing that is still in the journal.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { WochatError } from '../../../protocol/errors.ts'
import { runStored } from '../operations/operations.ts'
import { AccountsIndex } from './accounts-index.ts'
import { Database } from './database.ts'
import { Logs } from './logs.ts'
import type { CallResult, ReaderSettings, ReadMessage } from './messages.ts'
import { SqliteTransaction } from './transaction.ts'

const port = parentPort!
const { file, policy } = workerData as ReaderSettings

const db = new Database(file, { readOnly: true })
const accounts = new AccountsIndex(db)

port.on('message', (message: ReadMessage) => void answer(message))

async function answer({ id, call }: ReadMessage): Promise<void> {
  port.postMessage(await read(id, call))
}

/** All that a call awaits is there at once, so that no other call comes in between. */
async function read(id: number, call: ReadMessage['call']): Promise<CallResult> {
  // What is known of a log is of one moment, and goes with it.
  const logs = new Logs(db, accounts, policy)
  db.prepare('begin').run()
  try {
    const tx = new SqliteTransaction({ db, accounts, logs, policy, now: Date.now(), feed: [] })
    return { id, value: await runStored(tx, call) }
  } catch (error) {
    if (error instanceof WochatError) return { id, refused: error.toWire() }
    return { id, failed: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  } finally {
    db.prepare('commit').run()
  }
}
