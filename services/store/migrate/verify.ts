/** Whether the target holds what the source holds: every row of every table, and every log from its first entry to its head. */
import { createHash } from 'node:crypto'
import type { MoveSource } from './source.ts'
import type { Row, TableMove } from './table-move.ts'
import { buildValues } from './tables.ts'
import type { MoveTarget } from './target.ts'

/** Number of rows, and a sum over their hashes that does not depend on their order. */
export type Checksum = { rows: number; sum: string }

/** Differing logs that a report names. */
const LOGS_NAMED_MAX = 20

class ChecksumBuilder {
  #rows = 0
  #sum = 0n

  add(values: readonly unknown[]): void {
    const hash = createHash('sha256')
      .update(JSON.stringify(values.map(canonical)))
      .digest()
    this.#sum = BigInt.asUintN(64, this.#sum + hash.readBigUInt64BE(0))
    this.#rows++
  }

  build(): Checksum {
    return { rows: this.#rows, sum: this.#sum.toString(16).padStart(16, '0') }
  }
}

/** The same for a value that was written and one that was read back. */
function canonical(value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value
}

export function checksumOfSource(source: MoveSource, move: TableMove): Checksum {
  const checksum = new ChecksumBuilder()
  for (const row of source.rows(move)) checksum.add(buildValues(move, row))
  return checksum.build()
}

export async function checksumOfTarget(target: MoveTarget, move: TableMove): Promise<Checksum> {
  const checksum = new ChecksumBuilder()
  const names = Object.keys(move.columns)
  for await (const row of target.read(`select ${names.join(', ')} from ${move.table}`)) {
    checksum.add(names.map((name) => row[name]))
  }
  return checksum.build()
}

/** Name, head, first kept seq, number of entries and the last seq of each log, in the order of its number. */
const LOGS = `
  select log.n, log.name, log.head, log.first, count(entry.seq) as entries, coalesce(max(entry.seq), 0) as last
  from log left join entry on entry.log = log.n group by log.n order by log.n`

/** What is wrong with logs, one line each; empty when every one is whole and equal in both. */
export async function compareLogs(
  source: MoveSource,
  target: MoveTarget,
): Promise<{ logs: number; wrong: string[] }> {
  const expected = source.all(LOGS)[Symbol.iterator]()
  const wrong: string[] = []
  let logs = 0
  for await (const row of target.read(LOGS)) {
    logs++
    const { value } = expected.next() as { value: Row | undefined }
    const fault = logFault(row, value)
    if (fault !== null && wrong.length < LOGS_NAMED_MAX) wrong.push(fault)
  }
  if (expected.next().done !== true) wrong.push('logs are missing in the target')
  return { logs, wrong }
}

function logFault(row: Row, expected: Row | undefined): string | null {
  const [head, first, entries, last] = [row.head, row.first, row.entries, row.last].map(Number) as [
    number,
    number,
    number,
    number,
  ]
  if (expected === undefined || expected.name !== row.name)
    return `log ${String(row.name)}: not in the source`
  for (const field of ['head', 'first', 'entries', 'last'] as const) {
    if (Number(expected[field]) !== Number(row[field])) {
      return `log ${String(row.name)}: ${field} is ${Number(row[field])}, in the source ${Number(expected[field])}`
    }
  }
  const isWhole = entries === head - first + 1 && (entries === 0 || last === head)
  return isWhole
    ? null
    : `log ${String(row.name)}: ${entries} entries from ${first} to ${head}, there is a gap`
}
