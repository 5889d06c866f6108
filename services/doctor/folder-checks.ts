/** The data folder: there, writable, not full, and who runs on it. */
import { existsSync, mkdtempSync, rmdirSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { LOCK_FILE } from '../store/sqlite/files.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

const SQLITE_BUSY = 5
/** Warned below this many times the reserve. */
const RESERVES_FREE_MIN = 10

/** Whether a server holds the lock of the folder. Only reads, so that a server that starts meanwhile is not refused. */
export function isServerRunning(dataDir: string): boolean {
  const file = join(dataDir, LOCK_FILE)
  if (!existsSync(file)) return false
  const connection = new DatabaseSync(file, { readOnly: true, timeout: 0 })
  try {
    connection.prepare('select count(*) from sqlite_master').get()
    return false
  } catch (error) {
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return true
    throw error
  } finally {
    connection.close()
  }
}

export function checkDataFolder(dataDir: string, running: boolean): Finding[] {
  const exists = existsSync(dataDir)
  const probed = exists ? dataDir : nearestFolder(dataDir)
  try {
    rmdirSync(mkdtempSync(join(probed, '.doctor-')))
  } catch (error) {
    return [
      fail(
        `data folder ${dataDir} cannot be written (${(error as Error).message}); change its owner or WOCHAT_DATA_DIR`,
      ),
    ]
  }
  if (!exists) return [ok(`data folder ${dataDir} is not there yet; the first start makes it`)]
  return [
    ok(`data folder ${dataDir} is writable; ${running ? 'a server runs on it' : 'no server runs on it'}`),
  ]
}

function nearestFolder(path: string): string {
  let folder = dirname(path)
  while (!existsSync(folder)) folder = dirname(folder)
  return folder
}

export async function checkDisk({
  dataDir,
  diskReserveBytes,
}: {
  dataDir: string
  diskReserveBytes: number
}): Promise<Finding[]> {
  const { bavail, bsize } = await statfs(existsSync(dataDir) ? dataDir : nearestFolder(dataDir))
  const free = `${Math.floor((bavail * bsize) / 1024 ** 2)} MB of disk are free`
  const reserve = `${Math.ceil(diskReserveBytes / 1024 ** 2)} MB (diskReserveBytes)`
  if (bavail * bsize < diskReserveBytes)
    return [fail(`${free}, below ${reserve}: sends are refused; make room`)]
  if (bavail * bsize < diskReserveBytes * RESERVES_FREE_MIN)
    return [warn(`${free}; below ${reserve} sends are refused; make room`)]
  return [ok(free)]
}
