/**
 * One server per data folder. The lock is an exclusive transaction on a file of its own: the system releases it
 * when the process ends, however it ends.
 */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { LOCK_FILE } from './files.ts'

const SQLITE_BUSY = 5

export class FolderLockedError extends Error {
  override readonly name = 'FolderLockedError'
}

/** Takes the lock until the process ends or `release` is called. Throws {@link FolderLockedError} when another process has it. */
export function lockFolder(dataDir: string): { release: () => void } {
  const connection = new DatabaseSync(join(dataDir, LOCK_FILE), { timeout: 0 })
  try {
    connection.exec('begin exclusive')
  } catch (error) {
    connection.close()
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) {
      throw new FolderLockedError(`another wochat is running on ${dataDir}`)
    }
    throw error
  }
  return { release: () => connection.close() }
}
