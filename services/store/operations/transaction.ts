/**
 * What an operation of the catalogue works with: one transaction, in words that both engines understand. So an
 * operation is written once (docs/adr/0007-operations-once.md), and the contract suite runs it on both.
 *
 * Rules that keep it true on both:
 * - SQL that SQLite and PostgreSQL share: `$1` parameters, `on conflict`, `returning`, row values, no booleans (0 or 1),
 *   no `greatest` or two-place `max`. Lists go through {@link Transaction.list}.
 * - Refuse before the first write: an entry that was appended can only be taken back with its whole batch.
 * - Lock before you look: accounts first, in one call, then one log. Both do nothing where one thread writes.
 * - Every statement is bounded, by `limit` or by its keys.
 */
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import type { ChangeScope } from '../../../protocol/reply.ts'
import type { StorePolicy } from '../policy.ts'
import type { EventSources } from './operator/events.ts'

export type Value = string | number | null | readonly string[] | readonly number[]

/** An entry that a call appends (not a send). */
export type CallEntry = {
  kind: string
  uid: UserId
  device: DeviceId | null
  type: string
  body: object
  /** It is not the same for all: devices are told that the log grew, and read it with their reader's eyes. */
  isPersonal?: boolean
}

/** A log as it stands in this transaction. */
export type LogFacts = {
  n: number
  name: LogId
  epoch: number
  head: number
  messages: number
  /** The lowest seq that is kept. */
  first: number
}

export type Person = { uid: UserId; account: number }

/** Where reading of all entries in the order of their commits stands; empty at the beginning. Of the engine's own form. */
export type EntryPosition = string

/** An entry as the index of searches reads it. */
export type CommittedRow = {
  log: number
  seq: number
  kind: string
  account: number
  type: string
  body: string
}

/** A retained message of somebody's own space; `place` is of the engine's own order. */
export type OwnMessage = { topic: string; payload: string | Uint8Array; place: string }

/** What may be found of an index: all of `all`, and one of `any` where that is not empty. */
export type TermQuery = { all: readonly { text: string; isPrefix: boolean }[]; any: readonly string[] }

/** The index of searches. `place` is the order in which messages came into it. */
export interface SearchIndex {
  /** Indexes a message under these terms, and under no others. */
  put(log: number, seq: number, terms: readonly string[]): Promise<void>
  drop(log: number, seq: number): Promise<void>
  /** The newest messages before a place (null: of all), at most `limit`. */
  find(
    query: TermQuery,
    before: number | null,
    limit: number,
  ): Promise<{ place: number; log: number; seq: number }[]>
}

export interface Transaction {
  /** Runs SQL with `$1`..., and gives its rows; integers come as numbers. The text is prepared once. */
  query<Row>(sql: string, values?: readonly Value[]): Promise<Row[]>
  /** The first row, if there is one. */
  first<Row>(sql: string, values?: readonly Value[]): Promise<Row | undefined>
  /**
   * SQL of a list that is one parameter: `where account in ${tx.list('$2', 'number')}`, with an array as the value.
   * Also a source of rows: `from ${tx.list(...)} as wanted` has the column `value`.
   */
  list(parameter: `$${number}`, type: 'number' | 'text'): string
  /** SQL of the seq of the entry with which the content of a message came: its last edit, or itself. */
  contentSeq(entry: string): string
  /** Time of this transaction, ms since 1970. */
  readonly now: number
  readonly policy: StorePolicy

  findAccount(uid: string): Promise<number | undefined>
  /** The number of an account, which is made if it is new. */
  ensureAccount(uid: UserId): Promise<number>
  uidOf(account: number): Promise<UserId>
  /** Until the end of the transaction, no other call that locks one of these accounts goes on. */
  lockAccounts(accounts: readonly number[]): Promise<void>

  findLog(name: string): Promise<LogFacts | undefined>
  /** The log, whose head, windows and rules nobody else changes until the end of the transaction. */
  lockLog(name: string): Promise<LogFacts | undefined>
  /** Makes the log of a group; refuses `id_conflict` when there is one. Direct and notice logs are made by their first entry. */
  createGroupLog(name: LogId): Promise<LogFacts>
  /** Appends an entry, which devices get and history shows. Several logs: in the order of their names. */
  append(log: LogId, entry: CallEntry): Promise<{ seq: number; at: number }>
  /** Opens windows from `fromSeq` on; what came before counts as read. Devices of these people hear of the log at once. */
  letIn(log: LogFacts, people: readonly Person[], fromSeq: number): Promise<void>
  /** Closes the open windows after `toSeq`; of a group they keep the name that it has now. */
  letOut(log: LogFacts, people: readonly Person[], toSeq: number): Promise<void>
  /** Entries after a position in the order of their commits, at most `limit`; none is skipped for good. */
  entriesAfter(
    position: EntryPosition,
    limit: number,
  ): Promise<{ entries: CommittedRow[]; position: EntryPosition }>
  /** Whether {@link entriesAfter} may find any from there, or at least a later position without any. */
  hasEntriesAfter(position: EntryPosition): Promise<boolean>
  readonly search: SearchIndex
  /** True for one process at a time, until the end of the transaction: work that must not run twice at once. */
  claim(work: string): Promise<boolean>
  /** Rows of a log were written past {@link append}: whatever is kept of it in memory is read anew. */
  logRewritten(log: LogId): void
  /** From now on these sources write events, each in the transaction of what it tells, and no others do. */
  watchSources(sources: EventSources): Promise<void>
  /** What may be written in a log was changed: by one person, or by anybody. Call it after the change. */
  writersChanged(log: LogId, uid?: UserId): void
  /** The state of an account, or from whom it takes messages, was changed. Call it after the change. */
  accountChanged(uid: UserId): void
  /** Tells a person's devices that a read pointer moved. */
  readMoved(uid: UserId, log: LogId, seq: number): void
  /** Tells a person's devices that something of their own changed. */
  stateChanged(uid: UserId, scope: ChangeScope, version: number): void
  /** Ends the stored MQTT session of a device, its offline queue and its plain side. */
  endDeviceSession(uid: UserId, device: DeviceId): Promise<void>
  /**
   * Ends what a person keeps of plain MQTT: wills, stored sessions and retained messages of the own space, at most
   * `limit` of each; false when there may be more. Nothing else of plain MQTT may follow in the transaction.
   */
  endOwnSpace(uid: UserId, limit: number): Promise<boolean>
  /** Retained messages of a person's own space, at most `limit`; to go on, give the `place` of the last one. */
  readOwnSpace(uid: UserId, after: string | null, limit: number): Promise<OwnMessage[]>
  /** Ends live connections of a device, or of the user where `device` is null; `sid` null: all of them. */
  loginEnded(uid: UserId, device: DeviceId | null, sid: string | null): void
}
