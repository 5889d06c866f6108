/** Pages of history. A call reads a bounded part of the log, whatever it looks for; the cursor goes on behind it. */
import type { Entry } from '../../../../protocol/entry.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import { PAGE_ENTRIES_DEFAULT } from '../../../../protocol/limits.ts'
import { ANSWER_BYTES_MAX } from '../../answer-bytes.ts'
import { getReadable, type Readable } from '../entries/access.ts'
import { CONTENT_KINDS, EntryReader, type Filter } from '../entries/reading.ts'
import type { StoredInput, StoredOperations } from '../stored.ts'
import type { Transaction } from '../transaction.ts'

type Input = StoredInput<'messages.page'>
/** Entries are read from here on, this end included, towards the other. */
type Position = { from: number; to: number; newestFirst: boolean }

export const historyOperations: StoredOperations<'messages.page' | 'messages.get'> = {
  async 'messages.page'(tx, input) {
    assertOnePosition(input)
    const readable = await getReadable(tx, input.caller, input.log)
    const { head, first } = readable
    const { around, limit = PAGE_ENTRIES_DEFAULT } = input
    const filter = filterOf(input)
    if (around !== undefined) {
      return { entries: await readAround(tx, readable, around, limit, filter), head, first }
    }
    const position = await positionOf(tx, readable, input)
    const reader = new EntryReader(tx, readable, { entriesMax: limit, bytesMax: ANSWER_BYTES_MAX, filter })
    const { entries, next } = await reader.read(position)
    const cursor = next === null ? {} : { cursor: encodeCursor(next, position) }
    return { entries: position.newestFirst ? entries.reverse() : entries, head, first, ...cursor }
  },

  async 'messages.get'(tx, { caller, log, seqs }) {
    const readable = await getReadable(tx, caller, log)
    const limits = { entriesMax: seqs.length, bytesMax: ANSWER_BYTES_MAX, filter: null }
    return { entries: await new EntryReader(tx, readable, limits).pick(seqs) }
  },
}

// ---------------------------------------------------------------- where a page is

function assertOnePosition({ before, after, around, at, cursor, kind, types }: Input): void {
  const given = [before ?? after, around, at, cursor].filter((position) => position !== undefined)
  if (given.length > 1) {
    throw new WochatError('bad_request', 'give one position: before and after, around, at, or cursor')
  }
  if (kind !== undefined && types !== undefined) {
    throw new WochatError('bad_request', 'give kind or types, not both')
  }
}

async function positionOf(tx: Transaction, readable: Readable, input: Input): Promise<Position> {
  const { first, head } = readable
  const { before, after, at, cursor } = input
  if (cursor !== undefined) return parseCursor(cursor, readable)
  if (at !== undefined) return { from: await findTime(tx, readable, at), to: head, newestFirst: false }
  const low = Math.max(first, (after ?? 0) + 1)
  const high = Math.min(head, (before ?? Number.MAX_SAFE_INTEGER) - 1)
  if (after === undefined) return { from: high, to: low, newestFirst: true }
  return { from: low, to: high, newestFirst: false }
}

/** The first seq of the log whose entry is not before `time`, by bisection: `at` never goes back within a log. */
async function findTime(tx: Transaction, { log, first, head }: Readable, time: number): Promise<number> {
  let low = first
  let high = head + 1
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const entry = await tx.first<{ at: number }>('select at from entry where log = $1 and seq = $2', [
      log.n,
      middle,
    ])
    if (entry === undefined || entry.at < time) low = middle + 1
    else high = middle
  }
  return low
}

/** The newer half first, because it holds the entry itself. */
async function readAround(
  tx: Transaction,
  readable: Readable,
  seq: number,
  limit: number,
  filter: Filter | null,
): Promise<Entry[]> {
  const half = Math.ceil(limit / 2)
  const limits = { entriesMax: half, bytesMax: ANSWER_BYTES_MAX / 2, filter }
  const { first, head } = readable
  const newer = new EntryReader(tx, readable, limits)
  const { entries } = await newer.read({ from: seq, to: head, newestFirst: false })
  if (limit === half) return entries
  const older = new EntryReader(tx, readable, { ...limits, entriesMax: limit - half })
  const before = await older.read({ from: Math.min(seq - 1, head), to: first, newestFirst: true })
  return [...before.entries.reverse(), ...entries]
}

function filterOf({ kind, types }: Input): Filter | null {
  if (kind !== undefined) return CONTENT_KINDS[kind]
  return types === undefined ? null : { types, hasAddress: false }
}

// ---------------------------------------------------------------- cursors

const CURSOR = /^([on])\.(\d{1,16})\.(\d{1,16})$/

/** `n` towards newer entries, `o` towards older ones; where to go on, and up to where. */
function encodeCursor(next: number, { to, newestFirst }: Position): string {
  return `${newestFirst ? 'o' : 'n'}.${next}.${to}`
}

function parseCursor(text: string, { first, head }: Readable): Position {
  const [, direction, from, to] = CURSOR.exec(text) ?? []
  if (direction === undefined) throw new WochatError('bad_request', 'cursor: not of a page of history')
  const newestFirst = direction === 'o'
  if (newestFirst) return { from: Math.min(head, Number(from)), to: Math.max(first, Number(to)), newestFirst }
  return { from: Math.max(first, Number(from)), to: Math.min(head, Number(to)), newestFirst }
}
