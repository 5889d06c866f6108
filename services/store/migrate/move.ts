/**
 * The move of a single-node installation from SQLite to PostgreSQL: copy, set the sequences, compare. Each step can be
 * done again, and a step that was killed in the middle goes on where it was.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { createKeyDatabase } from '../../auth/key-database.ts'
import { createKeyFile } from '../../auth/key-file.ts'
import type { StoredKeyring } from '../../auth/key-storage.ts'
import { MoveSource } from './source.ts'
import type { Row, TableMove } from './table-move.ts'
import { TABLES } from './tables.ts'
import { MoveTarget } from './target.ts'
import { type Checksum, checksumOfSource, checksumOfTarget, compareLogs } from './verify.ts'

/** Rows of one transaction. */
export const BATCH_ROWS_DEFAULT = 2000
/** Text and bytes of one transaction: with the rows, what the move holds in memory. */
const BATCH_BYTES_MAX = 4 * 1024 * 1024

export type MoveSettings = {
  dataDir: string
  databaseUrl: string
  batchRows: number
  onProgress: (step: MoveStep) => void
}

export type MoveStep =
  /** Rows that a move which ended in the middle has left. */
  | { step: 'resumed'; table: string; rows: number; of: number }
  | { step: 'copied'; table: string; rows: number; of: number }
  | { step: 'compared'; table: string; source: Checksum; target: Checksum }

/** `differences` is empty when the target is the source. */
export type MoveReport = { rows: number; logs: number; differences: string[] }

/** Rejects with `MoveError` when it cannot begin. */
export async function moveStore(settings: MoveSettings): Promise<MoveReport> {
  using source = new MoveSource(settings.dataDir)
  const keyring = await createKeyFile(join(settings.dataDir, 'keys')).load()
  await using target = await MoveTarget.open(settings.databaseUrl, nameOf(settings.dataDir, keyring))
  for (const move of TABLES) await copy(source, target, move, settings)
  for (const move of TABLES) {
    if (move.sequence !== undefined) await target.setSequence(move, source.lastNumber(move))
  }
  const keys = createKeyDatabase(target.pool)
  if (keyring !== undefined) {
    await keys.update(async (stored) => (sameKeyring(stored, keyring) ? null : keyring))
  }
  const report = await compare(source, target, settings)
  if (!sameKeyring(await keys.load(), keyring)) report.differences.push('the signing keys differ')
  if (report.differences.length === 0) await target.finish()
  return report
}

/** What tells one installation from another: a hash of its pepper, or its folder while it has no keys yet. */
function nameOf(dataDir: string, keyring: StoredKeyring | undefined): string {
  return createHash('sha256')
    .update(keyring?.codePepper ?? dataDir)
    .digest('hex')
}

async function copy(
  source: MoveSource,
  target: MoveTarget,
  move: TableMove,
  { batchRows, onProgress }: MoveSettings,
): Promise<void> {
  const of = source.count(move)
  let { lastKey, rows } = await target.progress(move)
  const report = (step: 'resumed' | 'copied') => onProgress({ step, table: move.table, rows, of })
  let batch: Row[] = []
  let bytes = 0
  const write = async () => {
    if (batch.length === 0) return
    await target.write(move, batch)
    rows += batch.length
    batch = []
    bytes = 0
    report('copied')
  }
  if (rows > 0 && rows < of) report('resumed')
  for (const row of source.rows(move, lastKey)) {
    batch.push(row)
    bytes += sizeOf(row)
    if (batch.length >= batchRows || bytes >= BATCH_BYTES_MAX) await write()
  }
  await write()
  if (rows === 0) report('copied')
}

/** Characters and bytes of a row's text. */
function sizeOf(row: Row): number {
  return Object.values(row).reduce<number>(
    (sum, value) => sum + (typeof value === 'string' || value instanceof Uint8Array ? value.length : 8),
    0,
  )
}

async function compare(
  source: MoveSource,
  target: MoveTarget,
  { onProgress }: MoveSettings,
): Promise<MoveReport> {
  const differences: string[] = []
  let rows = 0
  for (const move of TABLES) {
    const sums = { source: checksumOfSource(source, move), target: await checksumOfTarget(target, move) }
    onProgress({ step: 'compared', table: move.table, ...sums })
    rows += sums.target.rows
    if (sums.source.rows !== sums.target.rows) {
      differences.push(`${move.table}: ${sums.target.rows} rows, in the source ${sums.source.rows}`)
    } else if (sums.source.sum !== sums.target.sum) {
      differences.push(
        `${move.table}: the rows differ (${sums.target.sum}, in the source ${sums.source.sum})`,
      )
    }
  }
  const { logs, wrong } = await compareLogs(source, target)
  return { rows, logs, differences: [...differences, ...wrong] }
}

function sameKeyring(a: StoredKeyring | undefined, b: StoredKeyring | undefined): boolean {
  return JSON.stringify(inOrder(a)) === JSON.stringify(inOrder(b))
}

function inOrder(keyring: StoredKeyring | undefined) {
  if (keyring === undefined) return null
  const keys = [...keyring.keys].sort((a, b) => (a.kid < b.kid ? -1 : 1))
  return keys
    .map((key) => [key.kid, key.alg, key.createdAt, key.endsAt, key.publicKey, key.privateKey])
    .concat([[keyring.codePepper]])
}
