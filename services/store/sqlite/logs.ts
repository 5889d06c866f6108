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
import { type DeviceId, type LogId, parseLog, type UserId } from '../../../protocol/ids.ts'
import { idHash } from '../id-hash.ts'
import type { StorePolicy } from '../policy.ts'
import type { AccountsIndex } from './accounts-index.ts'
import type { Database } from './database.ts'

/** Entries that wait in the journal before they are filed: some 30 ms of filing at 3.5 us an entry, on a busy server only. */
export const UNFILED_ENTRIES_MAX = 8192
/** Logs whose head is kept in memory; 300 bytes each and the same for each active sender. */
const CACHED_LOGS_MAX = 100_000
/** Ids looked up by one statement. */
const PROBE_IDS = 64

/** What a writer may do in a log, and how many messages it has there. */
export type Writer = { account: number; refusal: ErrorCode | null; own: number; dirty: boolean }

export type LogState = {
  /** The log's row; 0 while it has no entry yet. */
  n: number
  name: LogId
  epoch: number
  epochText: string
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
}

export type NewEntry = {
  kind: string
  uid: UserId
  device: DeviceId | null
  id: string | null
  type: string
  bodyJson: string
}

/** A client's id of a message, which is unique per author. */
export type AuthorId = { account: number; id: string }

/** An entry under a client's id that was stored before. */
export type StoredEntry = {
  log: LogId
  seq: number
  at: number
  epoch: number
  type: string
  bodyJson: string
}

export class Logs {
  readonly #db: Database
  readonly #accounts: AccountsIndex
  readonly #policy: StorePolicy
  readonly #states = new Map<string, LogState>()
  readonly #unfiled: UnfiledEntry[] = []
  /** By account and id. */
  readonly #unfiledById = new Map<number, Map<string, UnfiledEntry>>()
  /** Counts logs made and entries appended here: a call that fails after one can only be undone with its whole batch. */
  changes = 0
  /** JSON of the entries appended in the open transaction, in order. */
  lines: string[] = []
  /** Counts the times that entries went to the tables: what was looked up before the last one may be stale. */
  filings = 0
  /** How many of `lines` went straight to the tables and need no journal. */
  #linesFiled = 0

  constructor(db: Database, accounts: AccountsIndex, policy: StorePolicy) {
    this.#db = db
    this.#accounts = accounts
    this.#policy = policy
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
      epochText: `k${row?.epoch ?? 1}`,
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
    const parsed = parseLog(state.name)
    if (parsed?.kind === 'direct') {
      this.admit(state, this.#accounts.ensure(parsed.a, now), 1, now)
      if (parsed.a !== parsed.b) this.admit(state, this.#accounts.ensure(parsed.b, now), 1, now)
    } else if (parsed?.kind === 'notice') {
      this.admit(state, this.#accounts.ensure(parsed.uid, now), 1, now)
    }
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
    state.epochText = `k${state.epoch}`
    this.#db.prepare('update log set epoch = ? where n = ?').run(state.epoch, state.n)
  }

  /** Looks up again what a user may do in a log. Call it when a contact or a membership changed. */
  recheckWriter(name: LogId, uid: UserId): void {
    const state = this.#states.get(name)
    const writer = state?.writers.get(uid)
    if (state !== undefined && writer !== undefined)
      writer.refusal = this.#refusal(state, uid, writer.account)
  }

  /** Looks up again what anybody may do in a log, when they write next. */
  recheckWriters(name: LogId): void {
    const state = this.#states.get(name)
    for (const [uid, writer] of state?.writers ?? []) {
      writer.refusal = this.#refusal(state!, uid as UserId, writer.account)
    }
  }

  /** Opens a batch: what `lines` held belongs to the one before. States are only forgotten here, so that an operation may hold one. */
  begin(): void {
    this.lines = []
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
      writer = { account, refusal: this.#refusal(state, uid, account), own: row?.own ?? 0, dirty: false }
      // A refusal is not remembered: what it rests on, such as an account that does not exist yet, changes unheard.
      if (writer.refusal === null) state.writers.set(uid, writer)
    }
    return writer
  }

  #refusal(state: LogState, uid: UserId, account: number): ErrorCode | null {
    const parsed = parseLog(state.name)
    if (parsed?.kind === 'direct') {
      return this.#directRefusal(account, parsed.a === uid ? parsed.b : parsed.a, parsed.a === parsed.b)
    }
    if (parsed?.kind !== 'group' || state.n === 0) return 'unknown_group'
    const window = this.#db
      .prepare('select 1 from membership where account = ? and log = ? and to_seq is null')
      .get(account, state.n)
    return window === undefined ? 'not_member' : null
  }

  #directRefusal(account: number, peerUid: UserId, self: boolean): ErrorCode | null {
    if (self) return null
    const peer = this.#accounts.find(peerUid)
    if (peer === undefined) return 'unknown_user'
    const contact = this.#db.prepare('select state, blocked from contact where account = ? and peer = ?')
    const theirs = contact.get(peer, account) as { state: string; blocked: number } | undefined
    if (theirs?.blocked === 1) return 'blocked'
    return this.#policy.contactsRequired && theirs?.state !== 'friend' ? 'not_friends' : null
  }

  // -------------------------------------------------------------- appending

  /** Numbers an entry and adds it to the open transaction. It is durable when {@link journal} and the commit have run. */
  append(state: LogState, entry: NewEntry, now: number): UnfiledEntry {
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
    }
    this.#unfiled.push(unfiled)
    if (entry.id !== null) this.#rememberId(account, entry.id, unfiled)
    this.lines.push(
      encodeEntry({
        log: state.name,
        epoch: state.epochText,
        seq: unfiled.seq,
        at: unfiled.at,
        kind: entry.kind,
        from: entry.uid,
        device: entry.device,
        id: entry.id,
        type: entry.type,
        bodyJson: entry.bodyJson,
      }),
    )
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
    const { log, seq, at, type, bodyJson } = entry
    return { log: log.name, epoch: log.epoch, seq, at, type, bodyJson }
  }

  /** Looks ids up in the tables, many in one statement; the answer is by position. */
  findFiled(ids: readonly AuthorId[]): Map<number, StoredEntry> {
    const found = new Map<number, StoredEntry>()
    for (let from = 0; from < ids.length; from += PROBE_IDS) {
      const hashes: number[] = new Array(PROBE_IDS).fill(NO_HASH)
      const count = Math.min(PROBE_IDS, ids.length - from)
      for (let i = 0; i < count; i++) hashes[i] = idHash(ids[from + i]!.account, ids[from + i]!.id)
      for (const { i, account, id, ...stored } of this.#db.prepare(PROBE_SQL).all(...hashes) as ProbeRow[]) {
        const asked = ids[from + i]!
        if (account === asked.account && id === asked.id) found.set(from + i, stored)
      }
    }
    return found
  }

  // -------------------------------------------------------------- journal and tables

  /** Writes what this transaction appended to the journal; answers its bytes, one entry a line. */
  journal(): Buffer | null {
    if (this.lines.length === 0) return null
    const bytes = Buffer.from(this.lines.join('\n'))
    if (this.#linesFiled < this.lines.length) {
      const unfiled =
        this.#linesFiled === 0 ? bytes : Buffer.from(this.lines.slice(this.#linesFiled).join('\n'))
      this.#db.prepare('insert into journal (lines) values (?)').run(unfiled)
    }
    return bytes
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
    this.begin()
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
    )
    if (unfiled.seq !== entry.seq) {
      throw new Error(
        `the journal does not continue ${state.name}: entry ${String(entry.seq)} after ${unfiled.seq - 1}`,
      )
    }
  }
}

type ProbeRow = StoredEntry & AuthorId & { i: number }

/** In no row: hashes are not negative. */
const NO_HASH = -1

const PROBE_SQL = `
  with probe (i, hash) as (values ${Array.from({ length: PROBE_IDS }, (_, i) => `(${i}, ?)`).join(', ')})
  select probe.i, entry.account, entry.id,
    log.name as log, log.epoch, entry.seq, entry.at, entry.type, entry.body as bodyJson
  from probe
  cross join entry indexed by entry_by_id on entry.id_hash = probe.hash
  cross join log on log.n = entry.log`
