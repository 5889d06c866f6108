/** The store: whole, of a version that is known, and not ahead of the clock. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { STORE_FILE } from '../store/sqlite/files.ts'
import { newestSchema, schemaOf } from '../store/sqlite/migrate.ts'
import { type Finding, fail, ok, warn } from './finding.ts'
import { describeMs } from './key-checks.ts'

const CLOCK_SKEW_MS = 60_000

export function checkStore(dataDir: string, now: number): Finding[] {
  const file = join(dataDir, STORE_FILE)
  if (!existsSync(file)) return [ok(`store: not there yet; the first start makes ${file}`)]
  const connection = new DatabaseSync(file, { readOnly: true })
  try {
    return [checkIntegrity(connection, file), checkVersion(connection, file), checkClock(connection, now)]
  } finally {
    connection.close()
  }
}

function checkIntegrity(connection: DatabaseSync, file: string): Finding {
  const { quick_check: answer } = connection.prepare('pragma quick_check(1)').get() as { quick_check: string }
  return answer === 'ok'
    ? ok(`store ${file} is whole`)
    : fail(`store ${file} is damaged (${answer}); stop the server and restore a backup`)
}

function checkVersion(connection: DatabaseSync, file: string): Finding {
  const version = schemaOf(connection)
  const newest = newestSchema()
  if (version > newest) {
    return fail(
      `store ${file} was written by a newer wochat (schema ${version}, known ${newest}); install that one`,
    )
  }
  return ok(`store schema ${version}${version < newest ? `; the next start brings it to ${newest}` : ''}`)
}

function checkClock(connection: DatabaseSync, now: number): Finding {
  const { last } = connection.prepare('select max(last_at) as last from log').get() as { last: number | null }
  const aheadMs = (last ?? 0) - now
  if (aheadMs <= CLOCK_SKEW_MS) return ok('clock: no entry is in the future')
  return warn(
    `clock: the newest entry is ${describeMs(aheadMs)} in the future; set the clock right, until then the time in its log stands still`,
  )
}
