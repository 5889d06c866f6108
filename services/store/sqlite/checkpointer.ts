/**
 * Moves pages from the write-ahead log into the database file, on a connection and a thread of its own: the
 * commit path never waits for it. A passive checkpoint takes no lock that a commit needs; only when the log has
 * outgrown its bound (writes never paused) does a restart hold the writer for the rest of the pages.
 */

import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { workerData } from 'node:worker_threads'

const EVERY_MS = 1000
/** 256 MB at 4 kB a page. */
const WAL_PAGES_MAX = 65_536

const connection = new DatabaseSync(workerData as string)
connection.exec('pragma synchronous = full; pragma busy_timeout = 5000')

for (;;) {
  await sleep(EVERY_MS)
  const { log } = connection.prepare('pragma wal_checkpoint(passive)').get() as { log: number }
  if (log > WAL_PAGES_MAX) connection.exec('pragma wal_checkpoint(restart)')
}
