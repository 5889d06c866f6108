/** MQTT sessions: who holds one, where its inbox stands, and what it is still to be sent. */
import { encodeEntry } from '../../../protocol/entry.ts'
import { WochatError } from '../../../protocol/errors.ts'
import { type ClientId, type LogId, logKind } from '../../../protocol/ids.ts'
import type { BehindLog, DrainPage, SessionStore } from '../contract.ts'
import { encodeEpoch, parseEpoch } from '../epoch.ts'
import {
  isBehind,
  isOfAnotherLife,
  pendingOf,
  placeKnown,
  placeRestored,
  type VisibleLog,
} from '../inbox-place.ts'
import { resumeAccount } from '../operations/people/account-state.ts'
import { asSeen, type Eyes } from '../seen-content.ts'
import { WITHHELD, wireKind } from '../withheld.ts'
import { judgeLogin } from './accounts.ts'
import type { EntryRow } from './entry-row.ts'
import type { Operations } from './operations.ts'
import { endPlainSession, hasPlainSession } from './plain.ts'
import { SqliteTransaction } from './transaction.ts'
import type { Work } from './work.ts'

/** `seen_at` of a device is written at most this often. */
const SEEN_EVERY_MS = 60 * 60 * 1000
/** Sessions ended by one call. */
const EXPIRE_BATCH = 500

type SessionRow = {
  n: number
  generation: number
  inbox_qos: number | null
  reply: number
  live: number
  expires_at: number | null
}

export const sessionOperations: Operations<SessionStore> = {
  async openSession(work, input) {
    const account = work.accounts.ensure(input.uid, work.now)
    const verdict = judgeLogin(work, { account, ...input })
    noteDevice(work, account, input.device, input.devicesMax)
    if (verdict === 'resumes') {
      await resumeAccount(new SqliteTransaction(work), { account, uid: input.uid })
    }
    const stored = findSession(work, input.clientId)
    if (stored !== undefined && input.cleanStart) endSession(work, stored.n)
    // Also what no session row stands for: of a device that only came without one.
    if (input.cleanStart) endPlainSession(work, input.clientId)
    const plain = !input.cleanStart && hasPlainSession(work, input.clientId)
    if (stored !== undefined && !input.cleanStart) {
      work.db
        .prepare('update session set generation = generation + 1, expires_at = null where n = ?')
        .run(stored.n)
      return {
        session: stored.n,
        generation: stored.generation + 1,
        present: true,
        subscriptions: {
          inbox: stored.inbox_qos as 0 | 1 | null,
          reply: stored.reply === 1,
          live: stored.live === 1,
        },
        plain,
      }
    }
    const subscriptions = { inbox: null, reply: false, live: false }
    if (!input.persistent) return { session: null, generation: 0, present: plain, subscriptions, plain }
    const { lastInsertRowid } = work.db
      .prepare(
        `insert into session (client_id, account, device, generation, inbox_qos, inbox_started, reply, live, expires_at)
         values (?, ?, ?, 1, null, 0, 0, 0, null)`,
      )
      .run(input.clientId, account, input.device)
    return { session: Number(lastInsertRowid), generation: 1, present: plain, subscriptions, plain }
  },

  closeSession(work, { session, generation, expiresAt }) {
    if (!holds(work, session, generation)) return
    if (expiresAt === null) endSession(work, session)
    else work.db.prepare('update session set expires_at = ? where n = ?').run(expiresAt, session)
  },

  saveSubscriptions(work, { session, generation, subscriptions: { inbox, reply, live } }) {
    if (!holds(work, session, generation)) return
    work.db
      .prepare('update session set inbox_qos = ?, reply = ?, live = ? where n = ?')
      .run(inbox, reply ? 1 : 0, live ? 1 : 0, session)
  },

  startInbox(work, { uid, session, generation, backlogMax }) {
    work.logs.file()
    const account = work.accounts.ensure(uid, work.now)
    const stored = session !== null && holds(work, session, generation) ? session : null
    const logs = visibleLogs(work, account, stored)
    const heads = logs
      .filter((row) => row.open > 0 && logKind(row.name) === 'group')
      .map((row) => ({ log: row.name, epoch: encodeEpoch(row.epoch), head: row.visible }))
    const startedAt = work.now
    if (stored === null) return { heads, startedAt, behind: [], pending: 0 }
    if (!hasStarted(work, stored)) {
      for (const row of logs) writeCursor(work, stored, row.n, row.visible, row.epoch)
      work.db.prepare('update session set inbox_started = 1 where n = ?').run(stored)
      return { heads, startedAt, behind: [], pending: 0 }
    }
    const behind = logs.map((row) => placeLog(work, row, backlogMax)).filter(isBehind)
    const pending = behind.reduce((sum, log) => sum + pendingOf(log), 0)
    return { heads, startedAt, behind, pending }
  },

  drain(work, { uid, device, requests, entriesMax, bytesMax }) {
    work.logs.file()
    const account = work.accounts.ensure(uid, work.now)
    const reader = new DrainReader(work, account, device, entriesMax, bytesMax)
    const pages: DrainPage[] = []
    for (const { log, after } of requests) {
      if (reader.isFull) break
      pages.push(reader.read(log, after))
    }
    return { pages, bytes: reader.bytes() }
  },

  saveCursors(work, cursors) {
    const held = new Map<number, boolean>()
    for (const { session, generation, log, seq, epoch } of cursors) {
      if (!held.has(session)) held.set(session, holds(work, session, generation))
      if (!held.get(session)) continue
      const state = work.logs.state(log)
      if (state.n !== 0) writeCursor(work, session, state.n, seq, parseEpoch(epoch))
    }
  },

  expireSessions(work) {
    const rows = work.db
      .prepare('select n, client_id from session where expires_at <= ? order by expires_at limit ?')
      .all(work.now, EXPIRE_BATCH) as { n: number; client_id: ClientId }[]
    for (const row of rows) endSession(work, row.n)
    return rows.map((row) => row.client_id)
  },

  adoptSessions(work, { expiresAt }) {
    work.db.prepare('update session set expires_at = ? where expires_at is null').run(expiresAt)
  },
}

// ---------------------------------------------------------------- sessions

function findSession(work: Work, clientId: ClientId): SessionRow | undefined {
  const row = work.db
    .prepare('select n, generation, inbox_qos, reply, live, expires_at from session where client_id = ?')
    .get(clientId) as SessionRow | undefined
  if (row === undefined || row.expires_at === null || row.expires_at > work.now) return row
  endSession(work, row.n)
  return undefined
}

function holds(work: Work, session: number, generation: number): boolean {
  const row = work.db.prepare('select generation from session where n = ?').get(session) as
    | { generation: number }
    | undefined
  return row?.generation === generation
}

function hasStarted(work: Work, session: number): boolean {
  const row = work.db.prepare('select inbox_started from session where n = ?').get(session) as
    | { inbox_started: number }
    | undefined
  return row?.inbox_started === 1
}

function endSession(work: Work, session: number): void {
  const row = work.db.prepare('select client_id from session where n = ?').get(session) as
    | { client_id: string }
    | undefined
  if (row !== undefined) endPlainSession(work, row.client_id)
  work.db.prepare('delete from cursor where session = ?').run(session)
  work.db.prepare('delete from session where n = ?').run(session)
}

/** Keeps the list of an account's devices. A revoked one that comes back with a new token is a new one. */
function noteDevice(work: Work, account: number, device: string, devicesMax: number): void {
  const row = work.db
    .prepare('select seen_at, revoked_at from device where account = ? and id = ?')
    .get(account, device) as { seen_at: number; revoked_at: number | null } | undefined
  const isListed = row !== undefined && (row.revoked_at === null || row.seen_at > row.revoked_at)
  if (isListed && row.seen_at > work.now - SEEN_EVERY_MS) return
  if (!isListed) assertRoomForDevice(work, account, devicesMax)
  work.db
    .prepare(
      `insert into device (account, id, kind, name, created_at, seen_at) values (?, ?, '', '', ?, ?)
       on conflict (account, id) do update set seen_at = excluded.seen_at`,
    )
    .run(account, device, work.now, work.now)
}

function assertRoomForDevice(work: Work, account: number, devicesMax: number): void {
  const { count } = work.db
    .prepare(
      'select count(*) as count from device where account = ? and (revoked_at is null or seen_at > revoked_at)',
    )
    .get(account) as { count: number }
  if (count >= devicesMax) throw new WochatError('too_many_devices')
}

/** Never moves back within an epoch. */
function writeCursor(work: Work, session: number, log: number, seq: number, epoch: number): void {
  work.db
    .prepare(
      `insert into cursor (session, log, seq, epoch) values (?, ?, ?, ?)
       on conflict (session, log) do update set
         seq = case when epoch = excluded.epoch then max(seq, excluded.seq) else excluded.seq end,
         epoch = excluded.epoch
       where excluded.epoch >= epoch`,
    )
    .run(session, log, seq, epoch)
}

// ---------------------------------------------------------------- where an inbox stands

function visibleLogs(work: Work, account: number, session: number | null): VisibleLog[] {
  return work.db
    .prepare(
      `select log.n, log.name, log.epoch, log.head, min(m.from_seq) as "from",
         max(coalesce(m.to_seq, log.head)) as visible, sum(m.to_seq is null) as open,
         cursor.seq as cursor, cursor.epoch as cursorEpoch
       from membership m
       join log on log.n = m.log
       left join cursor on cursor.session = ? and cursor.log = m.log
       where m.account = ?
       group by m.log`,
    )
    .all(session, account) as VisibleLog[]
}

function placeLog(work: Work, row: VisibleLog, backlogMax: number): BehindLog {
  if (!isOfAnotherLife(row)) return placeKnown(row, backlogMax)
  if (row.cursorEpoch !== row.epoch) return placeRestored(row, row.epoch)
  // A cursor of this life that is beyond its head: entries were lost.
  work.logs.raiseEpoch(row.name)
  return placeRestored(row, row.epoch + 1)
}

// ---------------------------------------------------------------- draining

type Window = { from_seq: number; to_seq: number | null }

/** ?1 log, entries after ?2 up to ?3, at most ?4, for the account ?5. */
const entriesWhere = (condition: string): string => `
  select seq, at, kind, account, device, id, type, body, state from entry
  where log = ?1 and seq > ?2 and seq <= ?3 and ${condition} order by seq limit ?4`

const ALL_ENTRIES = entriesWhere('?5 is not null')
/** For those who have deleted something for themselves. */
const SHOWN_ENTRIES = entriesWhere(
  'not exists (select 1 from hidden where account = ?5 and log = entry.log and seq = entry.seq)',
)

/** Reads logs one after the other for one device, until the number or the size of entries is reached. */
class DrainReader {
  readonly #work: Work
  readonly #account: number
  readonly #device: string | null
  readonly #bytesMax: number
  readonly #lines: string[] = []
  readonly #hasDeleted: boolean
  #entriesLeft: number
  #bytes = 0

  constructor(work: Work, account: number, device: string | null, entriesMax: number, bytesMax: number) {
    this.#work = work
    this.#account = account
    this.#device = device
    this.#entriesLeft = entriesMax
    this.#bytesMax = bytesMax
    this.#hasDeleted =
      work.db.prepare('select 1 from hidden where account = ? limit 1').get(account) !== undefined
  }

  get isFull(): boolean {
    return this.#entriesLeft <= 0 || this.#bytes >= this.#bytesMax
  }

  bytes(): Buffer {
    const text = this.#lines.join('')
    const bytes = Buffer.allocUnsafeSlow(this.#bytes)
    bytes.write(text)
    return bytes
  }

  read(log: LogId, after: number): DrainPage {
    const state = this.#work.logs.state(log)
    const first = this.#first(state.n)
    const cleared = this.#clearedUpTo(state.n)
    const page: DrainPage = {
      log,
      epoch: encodeEpoch(state.epoch),
      after,
      through: after,
      head: after,
      seqs: [],
      ends: [],
      gap: null,
    }
    const windows = this.#windows(state.n)
    const eyes = this.#eyesOn(state.n, windows, cleared)
    for (const window of windows) {
      const to = window.to_seq ?? state.head
      page.head = Math.max(page.head, to)
      if (to <= page.through || this.isFull) continue
      const start = Math.max(page.through, window.from_seq - 1, Math.min(cleared, to))
      if (start < first - 1) {
        // Only a page that begins with the hole can say so; else the next one does.
        if (page.seqs.length > 0) break
        page.gap = { to: Math.min(first - 1, to), reason: 'retention' }
      }
      this.#readWindow(page, state.n, Math.max(start, Math.min(first - 1, to)), to, eyes)
    }
    return page
  }

  #readWindow(page: DrainPage, n: number, after: number, to: number, eyes: Eyes): void {
    page.through = Math.max(page.through, after)
    const limit = this.#entriesLeft
    const rows = this.#work.db
      .prepare(this.#hasDeleted ? SHOWN_ENTRIES : ALL_ENTRIES)
      .iterate(n, after, to, limit, this.#account) as IterableIterator<EntryRow>
    let read = 0
    for (const row of rows) {
      read++
      page.through = row.seq
      const isOwn = row.account === this.#account
      if (isOwn ? row.device !== null && row.device === this.#device : row.kind === WITHHELD) continue
      this.#add(page, asSeen(row, eyes))
      if (this.isFull) return
    }
    if (read < limit) page.through = to
  }

  #add(page: DrainPage, row: EntryRow): void {
    const line = encodeEntry({
      log: page.log,
      epoch: page.epoch,
      seq: row.seq,
      at: row.at,
      kind: wireKind(row.kind),
      from: this.#work.accounts.uidOf(row.account),
      device: row.device,
      id: row.id,
      type: row.type,
      bodyJson: row.body,
      stateJson: row.state,
    })
    this.#lines.push(line)
    this.#bytes += Buffer.byteLength(line)
    this.#entriesLeft--
    page.seqs.push(row.seq)
    page.ends.push(this.#bytes)
  }

  #eyesOn(n: number, windows: readonly Window[], cleared: number): Eyes {
    const deleted = 'select 1 from hidden where account = ? and log = ? and seq = ?'
    return {
      isIn: windows.some(({ to_seq }) => to_seq === null),
      sees: (seq) =>
        seq > cleared && windows.some(({ from_seq, to_seq }) => from_seq <= seq && seq <= (to_seq ?? seq)),
      isDeleted: (seq) =>
        this.#hasDeleted && this.#work.db.prepare(deleted).get(this.#account, n, seq) !== undefined,
    }
  }

  #windows(n: number): Window[] {
    return this.#work.db
      .prepare('select from_seq, to_seq from membership where account = ? and log = ? order by from_seq')
      .all(this.#account, n) as Window[]
  }

  /** Up to where the reader has cleared the log for themselves. */
  #clearedUpTo(n: number): number {
    const row = this.#work.db
      .prepare('select cleared_seq from conversation_state where account = ? and log = ?')
      .get(this.#account, n) as { cleared_seq: number } | undefined
    return row?.cleared_seq ?? 0
  }

  #first(n: number): number {
    const row = this.#work.db.prepare('select first from log where n = ?').get(n) as
      | { first: number }
      | undefined
    return row?.first ?? 1
  }
}
