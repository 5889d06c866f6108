/** The {@link Transaction} of an operation in the store's thread: one thread writes, so that every answer is there at once. */
import type { SQLInputValue } from 'node:sqlite'
import { WochatError } from '../../../protocol/errors.ts'
import { buildClientId, type DeviceId, type LogId, type UserId } from '../../../protocol/ids.ts'
import type { ChangeScope } from '../../../protocol/reply.ts'
import type { EventSources } from '../operations/operator/events.ts'
import type {
  CallEntry,
  CommittedRow,
  EntryPosition,
  LogFacts,
  OwnMessage,
  Person,
  SearchIndex,
  Transaction,
  Value,
} from '../operations/transaction.ts'
import type { StorePolicy } from '../policy.ts'
import { endDeviceSession } from './device-session.ts'
import { contentSeq } from './entry-row.ts'
import { watchSources } from './event-triggers.ts'
import { endOwnSpace, readOwnSpace } from './own-space.ts'
import { withNumberedParameters } from './parameters.ts'
import { SqliteSearchIndex } from './search-index.ts'
import { appendEntry, type Work } from './work.ts'

/** Texts of operations, as SQLite takes them. */
const TEXTS = new Map<string, string>()
const TEXTS_MAX = 5000

export class SqliteTransaction implements Transaction {
  readonly #work: Work

  /** Files what waits in the journal, so that queries see plain tables, and a refusal leaves it filed. */
  constructor(work: Work) {
    this.#work = work
    work.logs.file()
  }

  get now(): number {
    return this.#work.now
  }

  get policy(): StorePolicy {
    return this.#work.policy
  }

  async query<Row>(sql: string, values: readonly Value[] = []): Promise<Row[]> {
    return this.#work.db.prepareRows(numbered(sql)).all(...values.map(inputOf)) as Row[]
  }

  async first<Row>(sql: string, values: readonly Value[] = []): Promise<Row | undefined> {
    return this.#work.db.prepareRows(numbered(sql)).get(...values.map(inputOf)) as Row | undefined
  }

  list(parameter: `$${number}`): string {
    return `(select value from json_each(${parameter}))`
  }

  contentSeq(entry: string): string {
    return contentSeq(entry)
  }

  async findAccount(uid: string): Promise<number | undefined> {
    return this.#work.accounts.find(uid)
  }

  async ensureAccount(uid: UserId): Promise<number> {
    return this.#work.accounts.ensure(uid, this.now)
  }

  async uidOf(account: number): Promise<UserId> {
    return this.#work.accounts.uidOf(account)
  }

  async lockAccounts(): Promise<void> {}

  async findLog(name: string): Promise<LogFacts | undefined> {
    const { n, epoch, head, messages } = this.#work.logs.state(name as LogId)
    if (n === 0) return undefined
    const row = this.#work.db.prepare('select first from log where n = ?').get(n) as { first: number }
    return { n, name: name as LogId, epoch, head, messages, first: row.first }
  }

  lockLog(name: string): Promise<LogFacts | undefined> {
    return this.findLog(name)
  }

  async createGroupLog(name: LogId): Promise<LogFacts> {
    const state = this.#work.logs.state(name)
    if (state.n !== 0) throw new WochatError('id_conflict', 'there is a group of this id')
    this.#work.logs.create(state, this.now)
    return { n: state.n, name, epoch: state.epoch, head: 0, messages: 0, first: 1 }
  }

  async append(log: LogId, { body, ...entry }: CallEntry): Promise<{ seq: number; at: number }> {
    return appendEntry(this.#work, log, { ...entry, bodyJson: JSON.stringify(body) })
  }

  async letIn({ name }: LogFacts, people: readonly Person[], fromSeq: number): Promise<void> {
    const { logs, feed, now } = this.#work
    for (const { uid, account } of people) {
      logs.admit(logs.state(name), account, fromSeq, now)
      feed.push({ kind: 'joined', log: name, uid, fromSeq })
    }
  }

  async letOut({ name, n }: LogFacts, people: readonly Person[], toSeq: number): Promise<void> {
    const { db, logs, feed } = this.#work
    const close = db.prepare(
      `update membership set to_seq = ?1, left_name = (select name from chat_group where log = ?2)
       where account = ?3 and log = ?2 and to_seq is null`,
    )
    for (const { uid, account } of people) {
      close.run(toSeq, n, account)
      logs.recheckWriter(name, uid)
      feed.push({ kind: 'left', log: name, uid, toSeq })
    }
  }

  async entriesAfter(
    position: EntryPosition,
    limit: number,
  ): Promise<{ entries: CommittedRow[]; position: EntryPosition }> {
    const rows = await this.query<CommittedRow & { n: number }>(
      'select n, log, seq, kind, account, type, body from entry where n > $1 order by n limit $2',
      [Number(position), limit],
    )
    const last = rows.at(-1)
    return { entries: rows, position: last === undefined ? position : String(last.n) }
  }

  async hasEntriesAfter(position: EntryPosition): Promise<boolean> {
    const sql = 'select 1 as one from entry where n > $1 limit 1'
    return (await this.first(sql, [Number(position)])) !== undefined
  }

  get search(): SearchIndex {
    return new SqliteSearchIndex(this)
  }

  async claim(): Promise<boolean> {
    return true
  }

  logRewritten(log: LogId): void {
    this.#work.logs.forget(log)
  }

  async watchSources(sources: EventSources): Promise<void> {
    watchSources(this.#work.db, sources)
  }

  writersChanged(log: LogId, uid?: UserId): void {
    if (uid === undefined) this.#work.logs.recheckWriters(log)
    else this.#work.logs.recheckWriter(log, uid)
  }

  accountChanged(uid: UserId): void {
    this.#work.logs.recheckPeersOf(uid)
  }

  readMoved(uid: UserId, log: LogId, seq: number): void {
    this.#work.feed.push({ kind: 'read', uid, log, seq })
  }

  stateChanged(uid: UserId, scope: ChangeScope, version: number): void {
    this.#work.feed.push({ kind: 'changed', uid, scope, version })
  }

  async endDeviceSession(uid: UserId, device: DeviceId): Promise<void> {
    endDeviceSession(this.#work, buildClientId(uid, device))
  }

  async endOwnSpace(uid: UserId, limit: number): Promise<boolean> {
    return endOwnSpace(this.#work, uid, limit)
  }

  async readOwnSpace(uid: UserId, after: string | null, limit: number): Promise<OwnMessage[]> {
    return readOwnSpace(this.#work, uid, after, limit)
  }

  loginEnded(uid: UserId, device: DeviceId | null, sid: string | null): void {
    this.#work.feed.push({ kind: 'loginEnded', uid, device, sid })
  }
}

function numbered(sql: string): string {
  let text = TEXTS.get(sql)
  if (text === undefined) {
    if (TEXTS.size >= TEXTS_MAX) TEXTS.clear()
    text = withNumberedParameters(sql)
    TEXTS.set(sql, text)
  }
  return text
}

function inputOf(value: Value): SQLInputValue {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value
}
