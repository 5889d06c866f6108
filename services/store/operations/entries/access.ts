/** What one person may see of a log, and the message of it that a call is about. */
import type { EntryState } from '../../../../protocol/entry.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import { parseLog } from '../../../../protocol/ids.ts'
import type { Caller } from '../../contract.ts'
import type { Eyes } from '../../seen-content.ts'
import { isMessageTold, WITHHELD } from '../../withheld.ts'
import type { LogFacts, Transaction } from '../transaction.ts'

/** Seqs that a person may see, both ends included. */
export type Window = { from: number; to: number }

/** A log that the person has, or had, a window on. */
export type Readable = {
  account: number
  log: LogFacts
  /** They are in it now. */
  isOpen: boolean
  /** First seq that is kept and that they may see, and the last one; `first` is above `head` when nothing is left. */
  first: number
  head: number
  /** In the order of the log, cut at `first` and `head`; entries that were hidden one by one lie in them. */
  windows: Window[]
}

/** The log of a call that only looks; `unknown_log` when the caller never had a window on it. */
export function getReadable(tx: Transaction, caller: Caller, name: string): Promise<Readable> {
  return readableOf(tx, caller, name, (log) => tx.findLog(log))
}

/** The log of a call that changes something in it, locked until the end of the transaction. */
export function lockReadable(tx: Transaction, caller: Caller, name: string): Promise<Readable> {
  return readableOf(tx, caller, name, (log) => tx.lockLog(log))
}

async function readableOf(
  tx: Transaction,
  caller: Caller,
  name: string,
  find: (log: string) => Promise<LogFacts | undefined>,
): Promise<Readable> {
  const parsed = parseLog(name)
  const account = await tx.findAccount(caller.uid)
  const log = parsed === undefined ? undefined : await find(parsed.log)
  if (account === undefined || log === undefined) throw new WochatError('unknown_log')
  const rows = await tx.query<{ from_seq: number; to_seq: number | null }>(
    'select from_seq, to_seq from membership where account = $1 and log = $2 order by from_seq',
    [account, log.n],
  )
  if (rows.length === 0) throw new WochatError('unknown_log')
  const isOpen = rows.some(({ to_seq }) => to_seq === null)
  const head = isOpen ? log.head : Math.max(...rows.map(({ to_seq }) => to_seq!))
  const first = Math.max(log.first, rows[0]!.from_seq, (await clearedUpTo(tx, account, log.n)) + 1)
  const windows = rows.flatMap(({ from_seq, to_seq }): Window[] => {
    const window = { from: Math.max(first, from_seq), to: to_seq ?? head }
    return window.from <= window.to ? [window] : []
  })
  return { account, log, isOpen, first, head, windows }
}

/** The last seq of the history that the person cleared for themselves; 0 for none. */
async function clearedUpTo(tx: Transaction, account: number, log: number): Promise<number> {
  const row = await tx.first<{ cleared_seq: number }>(
    'select cleared_seq from conversation_state where account = $1 and log = $2',
    [account, log],
  )
  return row?.cleared_seq ?? 0
}

export function canSee({ windows }: Readable, seq: number): boolean {
  return windows.some(({ from, to }) => from <= seq && seq <= to)
}

/** SQL: account `account` was in the log of a message when the content came that it has now. */
export const sawContent = (tx: Transaction, account: string, message: string): string => `exists (
  select 1 from membership as stay where stay.account = ${account} and stay.log = ${message}.log
    and ${tx.contentSeq(message)} between stay.from_seq and coalesce(stay.to_seq, ${tx.contentSeq(message)}))`

/** Those of some seqs that the person has deleted for themselves. */
export async function deletedOf(
  tx: Transaction,
  { account, log }: Readable,
  seqs: readonly number[],
): Promise<ReadonlySet<number>> {
  if (seqs.length === 0) return new Set()
  const rows = await tx.query<{ seq: number }>(
    `select seq from hidden where account = $1 and log = $2 and seq in ${tx.list('$3', 'number')}`,
    [account, log.n, seqs],
  )
  return new Set(rows.map(({ seq }) => seq))
}

/** `deleted`: of the seqs that will be asked for. */
export function eyesOf(readable: Readable, deleted: ReadonlySet<number>): Eyes {
  const { isOpen, head } = readable
  return {
    isIn: isOpen,
    // Who is in also sees what came since the log was looked at.
    sees: (seq) => canSee(readable, seq) || (isOpen && seq > head),
    isDeleted: (seq) => deleted.has(seq),
  }
}

// ---------------------------------------------------------------- one message

export type Message = {
  seq: number
  at: number
  author: number
  type: string
  /** As JSON text. */
  body: string
  state: EntryState
  /** Nobody but its author gets it; what happens to it is told to nobody. */
  isWithheld: boolean
}

type MessageRow = {
  seq: number
  at: number
  kind: string
  account: number
  type: string
  body: string
  state: string | null
}

/** A message that the person may see, also one that was recalled; else `unknown_entry`. */
export async function getMessage(tx: Transaction, readable: Readable, seq: number): Promise<Message> {
  const { account, log } = readable
  const row = canSee(readable, seq)
    ? await tx.first<MessageRow>(
        `select seq, at, kind, account, type, body, state from entry
         where log = $1 and seq = $2 and ${isMessageTold('entry', '$3')}
           and not exists (select 1 from hidden where account = $3 and log = $1 and seq = $2)`,
        [log.n, seq, account],
      )
    : undefined
  if (row === undefined) throw new WochatError('unknown_entry', 'there is no message of this number')
  const { kind, account: author, state, ...message } = row
  return {
    ...message,
    author,
    state: state === null ? {} : (JSON.parse(state) as EntryState),
    isWithheld: kind === WITHHELD,
  }
}

/** {@link getMessage} of one that still has its content; else `recalled`. */
export async function getWholeMessage(tx: Transaction, readable: Readable, seq: number): Promise<Message> {
  const message = await getMessage(tx, readable, seq)
  if (message.state.recalled !== undefined) throw new WochatError('recalled')
  return message
}

export async function saveState(
  tx: Transaction,
  { log }: Readable,
  seq: number,
  state: EntryState,
): Promise<void> {
  const json = Object.keys(state).length === 0 ? null : JSON.stringify(state)
  await tx.query('update entry set state = $3 where log = $1 and seq = $2', [log.n, seq, json])
}
