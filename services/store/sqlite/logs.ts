/**
 * The logs of all conversations: numbering, the commit journal, and the tables behind it.
 *
 * A B-tree page costs 10 to 20 us to write through the WAL, and the entries of one commit belong to as many logs as
 * there are senders: written straight into `entry` and its index they would dirty a page or two each. So a commit
 * appends its entries to the `journal`, as one row, and they are filed into the tables later, thousands at a time
 * (`file`). What is not filed yet is kept in memory; a start reads it back from the journal. Every read files
 * first, so that queries see plain tables. docs/adr/0003-commit-journal.md has the measurements.
 */
import { encodeEntry } from '../../../protocol/entry.ts'
import type { ErrorCode } from '../../../protocol/errors.ts'
import { type DeviceId, type LogId, peopleOf, type UserId } from '../../../protocol/ids.ts'
import { findMarks, type SendMarks } from '../../../protocol/message-types.ts'
import { encodeEpoch } from '../epoch.ts'
import { idHash } from '../id-hash.ts'
import type { StorePolicy } from '../policy.ts'
import { WITHHELD, wireKind } from '../withheld.ts'
import type { AccountsIndex } from './accounts-index.ts'
import type { Database } from './database.ts'
import { fileMarks } from './entry-marks.ts'
import { type AuthorId, findFiledIds, type StoredEntry } from './filed-ids.ts'
import { WriteRules } from './write-rules.ts'

/** Entries that wait in the journal before they are filed: some 30 ms of filing at 3.5 us an entry, on a busy server only. */
export const UNFILED_ENTRIES_MAX = 8192
/** Logs whose head is kept in memory; 300 bytes each and the same for each active sender. */
const CACHED_LOGS_MAX = 100_000

/** Of a writer whose right was changed; never told to anybody. */
const UNSURE: ErrorCode = 'forbidden'

/** What a writer may do in a log, and how many messages it has there. */
export type Writer = {
  account: number
  refusal: ErrorCode | null
  /** They may write, and nobody sees it. */
  withheld: boolean
  /** They are no member. */
  visits: boolean
  own: number
  dirty: boolean
}

export type LogState = {
  /** The log's row; 0 while it has no entry yet. */
  n: number
  name: LogId
  epoch: number
  head: number
  messages: number
  lastAt: number
  writers: Map<string, Writer>
  dirty: boolean
}

/** An entry that is committed, or about to be, but not filed. */
export type UnfiledEntry = {
  log: LogState
  seq: number
  messageNo: number
  at: number
  kind: string
  account: number
  device: string | null
  id: string | null
  type: string
  bodyJson: string
  marks: SendMarks | null
}

export type NewEntry = {
  kind: string
  uid: UserId
  device: DeviceId | null
  id: string | null
  type: string
  bodyJson: string
}

export class Logs {
  readonly #db: Database
  readonly #accounts: AccountsIndex
  readonly #rules: WriteRules
  readonly #states = new Map<LogId, LogState>()
  readonly #unfiled: UnfiledEntry[] = []
  /** By account and id. */
  readonly #unfiledById = new Map<number, Map<string, UnfiledEntry>>()
  /** Counts logs made and entries appended here: a call that fails after one can only be undone with its whole batch. */
  changes = 0
  /** JSON of the entries appended in the open transaction, in order. */
  lines: string[] = []
  /** Counts the times that entries went to the tables: what was looked up before the last one may be stale. */
  filings = 0
  /** Of `lines`, by their place: how those stand in the journal that it has more of than the wire, which tells of no moderation. */
  readonly #journalLines = new Map<number, string>()
  /** How many of `lines` went straight to the tables and need no journal. */
  #linesFiled = 0
  /** Time of the batch, ms. */
  #now = 0

  constructor(db: Database, accounts: AccountsIndex, policy: StorePolicy) {
    this.#db = db
    this.#accounts = accounts
    this.#rules = new WriteRules(db, policy)
  }

  get unfiled(): number {
    return this.#unfiled.length
  }

  // -------------------------------------------------------------- states

  /** The state of a log; one with `n` 0 has no entry and no row yet. */
  state(name: LogId): LogState {
    const known = this.#states.get(name)
    if (known !== undefined) return known
    const row = this.#db
      .prepare('select n, epoch, head, messages, last_at from log where name = ?')
      .get(name) as { n: number; epoch: number; head: number; messages: number; last_at: number } | undefined
    const state: LogState = {
      n: row?.n ?? 0,
      name,
      epoch: row?.epoch ?? 1,
      head: row?.head ?? 0,
      messages: row?.messages ?? 0,
      lastAt: row?.last_at ?? 0,
      writers: new Map(),
      dirty: false,
    }
    this.#states.set(name, state)
    return state
  }

  /** Makes the row of a log. Direct and notice logs get the windows of their people with it. */
  create(state: LogState, now: number): void {
    this.changes++
    const { lastInsertRowid } = this.#db
      .prepare('insert into log (name, epoch, head, messages, first, last_at) values (?, ?, 0, 0, 1, ?)')
      .run(state.name, state.epoch, now)
    state.n = Number(lastInsertRowid)
    for (const uid of peopleOf(state.name)) this.admit(state, this.#accounts.ensure(uid, now), 1, now)
  }

  /** Opens a window on a log from `fromSeq`; what came before counts as read. */
  admit(state: LogState, account: number, fromSeq: number, now: number): void {
    this.#db
      .prepare('insert into membership (account, log, from_seq, to_seq, joined_at) values (?, ?, ?, null, ?)')
      .run(account, state.n, fromSeq, now)
    this.#db
      .prepare(
        `insert into reader (account, log, read_seq, read_messages, own, read_own) values (?, ?, ?, ?, 0, 0)
         on conflict (account, log) do update set
           read_seq = max(read_seq, excluded.read_seq),
           read_messages = max(read_messages, excluded.read_messages), read_own = own`,
      )
      .run(account, state.n, fromSeq - 1, state.messages)
    this.recheckWriter(state.name, this.#accounts.uidOf(account))
  }

  /** Begins a new life of a log, after it was found to have lost entries that a device had. */
  raiseEpoch(name: LogId): void {
    const state = this.state(name)
    state.epoch++
    this.#db.prepare('update log set epoch = ? where n = ?').run(state.epoch, state.n)
  }

  /** The rows of a log, of which everything is filed, were written by somebody else: they are read again. */
  forget(name: LogId): void {
    this.#states.delete(name)
  }

  /** Looks up again what a user may do in a log. Call it when a contact or a membership changed. */
  recheckWriter(name: LogId, uid: UserId): void {
    const state = this.#states.get(name)
    const writer = state?.writers.get(uid)
    if (state !== undefined && writer !== undefined) this.#recheck(state, uid, writer)
  }

  /** What anybody may do in a log is looked up again when they write next, as it is for whoever was refused. */
  recheckWriters(name: LogId): void {
    for (const writer of this.#states.get(name)?.writers.values() ?? []) writer.refusal = UNSURE
  }

  /** Looks up again what others may write to a person, who was deactivated or came back. */
  recheckPeersOf(uid: UserId): void {
    for (const [name, state] of this.#states) {
      if (state.writers.size > 0 && peopleOf(name).includes(uid)) this.recheckWriters(name)
    }
  }

  #recheck(state: LogState, uid: UserId, writer: Writer): void {
    const right = this.#rules.rightOf(writer.account, uid, state.name, state.n, this.#now)
    Object.assign(writer, { visits: false }, right)
  }

  /** Opens a batch: what `lines` held belongs to the one before. States are only forgotten here, so that an operation may hold one. */
  begin(now: number): void {
    this.#now = now
    this.lines = []
    this.#journalLines.clear()
    this.#linesFiled = 0
    if (this.#states.size < CACHED_LOGS_MAX) return
    for (const [name, state] of this.#states) if (!state.dirty) this.#states.delete(name)
  }

  // -------------------------------------------------------------- who may write

  writer(state: LogState, uid: UserId, account: number): Writer {
    let writer = state.writers.get(uid)
    if (writer === undefined) {
      const row = this.#db
        .prepare('select own from reader where account = ? and log = ?')
        .get(account, state.n) as { own: number } | undefined
      const right = this.#rules.rightOf(account, uid, state.name, state.n, this.#now)
      writer = { account, visits: false, ...right, own: row?.own ?? 0, dirty: false }
      if (writer.refusal === null) state.writers.set(uid, writer)
    } else if (writer.refusal !== null) {
      // What a refusal rests on ends unheard: the time of a mute, an account that does not exist yet.
      this.#recheck(state, uid, writer)
    }
    return writer
  }

  // -------------------------------------------------------------- appending

  /** Numbers an entry and adds it to the open transaction. It is durable when {@link journal} and the commit have run. */
  append(state: LogState, entry: NewEntry, now: number, marks: SendMarks | null = null): UnfiledEntry {
    if (state.n === 0) this.create(state, now)
    const account = this.#accounts.ensure(entry.uid, now)
    const isMessage = entry.kind === 'message'
    this.changes++
    if (isMessage) {
      const writer = this.writer(state, entry.uid, account)
      // A journal that is read back holds entries of people who may not write any more; they count all the same.
      state.writers.set(entry.uid, writer)
      writer.own++
      writer.dirty = true
      state.messages++
    }
    state.head++
    state.lastAt = Math.max(now, state.lastAt)
    state.dirty = true
    const unfiled: UnfiledEntry = {
      log: state,
      seq: state.head,
      messageNo: state.messages,
      at: state.lastAt,
      kind: entry.kind,
      account,
      device: entry.device,
      id: entry.id,
      type: entry.type,
      bodyJson: entry.bodyJson,
      marks,
    }
    this.#unfiled.push(unfiled)
    if (entry.id !== null) this.#rememberId(account, entry.id, unfiled)
    const sentHash = marks?.sentHash
    if (entry.kind === WITHHELD || sentHash !== undefined)
      this.#journalLines.set(this.lines.length, withHash(lineOf(unfiled, entry.uid, entry.kind), sentHash))
    this.lines.push(lineOf(unfiled, entry.uid, wireKind(entry.kind)))
    return unfiled
  }

  #rememberId(account: number, id: string, entry: UnfiledEntry): void {
    const known = this.#unfiledById.get(account)
    if (known === undefined) this.#unfiledById.set(account, new Map([[id, entry]]))
    else known.set(id, entry)
  }

  findUnfiled(account: number, id: string): StoredEntry | undefined {
    const entry = this.#unfiledById.get(account)?.get(id)
    if (entry === undefined) return undefined
    const { log, seq, at, type, bodyJson, marks } = entry
    const sentHash = marks?.sentHash ?? null
    return { log: log.name, epoch: log.epoch, seq, at, type, bodyJson, sentHash, changed: 0 }
  }

  /** Ids of entries that are in the tables; the answer is by position. */
  findFiled(ids: readonly AuthorId[]): Map<number, StoredEntry> {
    return findFiledIds(this.#db, ids)
  }

  // -------------------------------------------------------------- journal and tables

  /** Writes what this transaction appended to the journal; answers its bytes, one entry a line. */
  journal(): Buffer | null {
    if (this.lines.length === 0) return null
    const bytes = Buffer.from(this.lines.join('\n'))
    if (this.#linesFiled < this.lines.length) {
      const isWhole = this.#linesFiled === 0 && this.#journalLines.size === 0
      const unfiled = isWhole ? bytes : Buffer.from(this.#unfiledLines().join('\n'))
      this.#db.prepare('insert into journal (lines) values (?)').run(unfiled)
    }
    return bytes
  }

  #unfiledLines(): string[] {
    const from = this.#linesFiled
    return this.lines.slice(from).map((line, i) => this.#journalLines.get(from + i) ?? line)
  }

  /**
   * Files every entry of memory into the tables and empties the journal, in the open transaction. It stands even if
   * the call that asked for it is refused; so a call files before it writes anything that a refusal takes back.
   */
  file(): void {
    if (this.#unfiled.length === 0) return
    this.#db.advanceSavepoint()
    const insert = this.#db.prepare(
      `insert into entry (log, seq, message_no, at, kind, account, device, id, id_hash, type, body)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    for (const e of this.#unfiled) {
      const hash = e.id === null ? null : idHash(e.account, e.id)
      insert.run(
        e.log.n,
        e.seq,
        e.messageNo,
        e.at,
        e.kind,
        e.account,
        e.device,
        e.id,
        hash,
        e.type,
        e.bodyJson,
      )
      if (e.marks !== null) fileMarks(this.#db, this.#accounts, e)
    }
    const update = this.#db.prepare('update log set head = ?, messages = ?, last_at = ? where n = ?')
    for (const { log } of this.#unfiled) {
      if (!log.dirty) continue
      update.run(log.head, log.messages, log.lastAt, log.n)
      for (const writer of log.writers.values()) this.#saveWriter(log, writer)
      log.dirty = false
    }
    this.#db.prepare('delete from journal').run()
    this.#unfiled.length = 0
    this.#unfiledById.clear()
    this.#linesFiled = this.lines.length
    this.filings++
    this.#db.advanceSavepoint()
  }

  #saveWriter(log: LogState, writer: Writer | undefined): void {
    if (writer === undefined || !writer.dirty) return
    this.#db
      .prepare('update reader set own = ? where account = ? and log = ?')
      .run(writer.own, writer.account, log.n)
    writer.dirty = false
  }

  /** Forgets all that is in memory and reads the journal again: the way in at start, and back after a rollback. */
  recover(): void {
    this.#states.clear()
    this.#unfiled.length = 0
    this.#unfiledById.clear()
    const rows = this.#db.prepare('select lines from journal order by n').all() as { lines: Uint8Array }[]
    for (const { lines } of rows) {
      for (const line of Buffer.from(lines).toString().split('\n')) this.#recoverEntry(JSON.parse(line))
    }
    this.begin(this.#now)
  }

  #recoverEntry(entry: Record<string, unknown>): void {
    const state = this.state(entry.log as LogId)
    const unfiled = this.append(
      state,
      {
        kind: entry.kind as string,
        uid: entry.from as UserId,
        device: (entry.device as DeviceId | undefined) ?? null,
        id: (entry.id as string | undefined) ?? null,
        type: entry.type as string,
        bodyJson: JSON.stringify(entry.body),
      },
      entry.at as number,
      wireKind(entry.kind as string) === 'message' ? marksOf(entry) : null,
    )
    if (unfiled.seq !== entry.seq) {
      throw new Error(
        `the journal does not continue ${state.name}: entry ${String(entry.seq)} after ${unfiled.seq - 1}`,
      )
    }
  }
}

function lineOf(
  { log, seq, at, device, id, type, bodyJson }: UnfiledEntry,
  from: UserId,
  kind: string,
): string {
  const epoch = encodeEpoch(log.epoch)
  return encodeEntry({ log: log.name, epoch, seq, at, kind, from, device, id, type, bodyJson })
}

/** As `sentHash` stands in the journal, which has one field more for it. */
function withHash(line: string, sentHash: string | undefined): string {
  return sentHash === undefined ? line : `${line.slice(0, -1)},"sentHash":"${sentHash}"}`
}

function marksOf({ type, body, sentHash }: Record<string, unknown>): SendMarks | null {
  const marks = findMarks(type as string, body as object)
  return typeof sentHash === 'string' ? { ...marks, sentHash } : marks
}
