/** Where the inboxes of sessions stand: their cursors, and what waits behind them. */
import { type LogId, logKind } from '../../../protocol/ids.ts'
import type { BehindLog, SessionStore } from '../contract.ts'
import { encodeEpoch, parseEpoch } from '../epoch.ts'
import {
  isBehind,
  isOfAnotherLife,
  pendingOf,
  placeKnown,
  placeRestored,
  type VisibleLog,
} from '../inbox-place.ts'
import type { SharedStore } from '../shared-store.ts'
import { holdsSession } from './device-session.ts'
import type { Operations, Work } from './work.ts'

type Cursor = Parameters<SessionStore['saveCursors']>[0][number]

export const startInbox: Operations<SessionStore>['startInbox'] = async (
  work,
  { uid, session, generation, backlogMax },
) => {
  const account = await work.ensureAccount(uid)
  const stored = session !== null && (await holdsSession(work, session, generation)) ? session : null
  // Before the heads are read, so that no entry is later than them and yet not after this time.
  const startedAt = stored === null ? await readQuietTime(work) : work.now
  const logs = await readVisibleLogs(work, account, stored, null)
  const heads = logs
    .filter((row) => isHeadTold(row, logs.length))
    .map((row) => ({ log: row.name, epoch: encodeEpoch(row.epoch), head: row.visible }))
  if (stored === null) return { heads, startedAt, behind: [], pending: 0 }
  const [row] = await work.query<{ inbox_started: number }>(
    'select inbox_started from session where n = $1',
    [stored],
  )
  if (row!.inbox_started === 0) {
    await writeCursors(
      work,
      logs.map((log) => ({ session: stored, log: log.n, seq: log.visible, epoch: log.epoch })),
    )
    await work.query('update session set inbox_started = 1 where n = $1', [stored])
    return { heads, startedAt, behind: [], pending: 0 }
  }
  await passOwn(work, logs, stored)
  const placed = await placeAll(work, logs, backlogMax)
  const behind = placed.filter(isBehind)
  const pending = behind.reduce((sum, log) => sum + pendingOf(log), 0)
  return { heads, startedAt, behind, pending }
}

/** A log whose head is told at the start need not be placed when it rings first: for most people that is all of them. */
const HEADS_TOLD_MAX = 64

/** `count`: logs of the user. */
export function isHeadTold({ name, open }: { name: LogId; open: number }, count: number): boolean {
  return open > 0 && (logKind(name) === 'group' || count <= HEADS_TOLD_MAX)
}

export const placeLogs: Operations<SharedStore>['placeLogs'] = async (
  work,
  { uid, session, startedAt, logs, backlogMax },
) => {
  const account = await work.findAccount(uid)
  if (account === undefined) return []
  const visible = await readVisibleLogs(work, account, session, logs)
  if (session === null) await placeByTime(work, visible, startedAt)
  else await passOwn(work, visible, session)
  const places = new Map(
    (await placeAll(work, visible, backlogMax)).map((place) => [place.log, place] as const),
  )
  return logs.flatMap((log) => places.get(log) ?? [])
}

export const saveCursors: Operations<SessionStore>['saveCursors'] = async (work, cursors) => {
  await work.query(
    `${WRITE_CURSORS}
     select session.n, log.n, c.seq, c.epoch
     from unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[], $5::integer[])
       as c (session, generation, log, seq, epoch)
     join session on session.n = c.session and session.generation = c.generation
     join log on log.name = c.log
     order by session.n, log.n
     ${ONLY_FORWARD}`,
    columnsOf(newestCursors(cursors)),
  )
}

// ---------------------------------------------------------------- cursors

const WRITE_CURSORS = 'insert into cursor (session, log, seq, epoch)'
/** Never back within an epoch. */
const ONLY_FORWARD = `
  on conflict (session, log) do update set
    seq = case when cursor.epoch = excluded.epoch then greatest(cursor.seq, excluded.seq) else excluded.seq end,
    epoch = excluded.epoch
  where excluded.epoch > cursor.epoch or (excluded.epoch = cursor.epoch and excluded.seq > cursor.seq)`

async function writeCursors(
  work: Work,
  cursors: readonly { session: number; log: number; seq: number; epoch: number }[],
): Promise<void> {
  await work.query(
    `${WRITE_CURSORS}
     select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[]) ${ONLY_FORWARD}`,
    [
      cursors.map((cursor) => cursor.session),
      cursors.map((cursor) => cursor.log),
      cursors.map((cursor) => cursor.seq),
      cursors.map((cursor) => cursor.epoch),
    ],
  )
}

const epochOf = (cursor: Cursor): number => parseEpoch(cursor.epoch)

/** One cursor for each log of a session: a statement may touch a row once. */
function newestCursors(cursors: readonly Cursor[]): Cursor[] {
  const newest = new Map<string, Cursor>()
  for (const cursor of cursors) {
    const key = `${cursor.session} ${cursor.generation} ${cursor.log}`
    const known = newest.get(key)
    const isNewer =
      known === undefined ||
      epochOf(cursor) > epochOf(known) ||
      (cursor.epoch === known.epoch && cursor.seq > known.seq)
    if (isNewer) newest.set(key, cursor)
  }
  return [...newest.values()]
}

function columnsOf(cursors: readonly Cursor[]): unknown[] {
  return [
    cursors.map((cursor) => cursor.session),
    cursors.map((cursor) => cursor.generation),
    cursors.map((cursor) => cursor.log),
    cursors.map((cursor) => cursor.seq),
    cursors.map(epochOf),
  ]
}

// ---------------------------------------------------------------- where a log stands

const visibleLogs = (only: string): string => `
  select log.n, log.name, log.epoch, log.head, min(m.from_seq) as "from",
    max(coalesce(m.to_seq, log.head)) as visible, count(*) filter (where m.to_seq is null) as open,
    cursor.seq as cursor, cursor.epoch as "cursorEpoch"
  from membership m
  join log on log.n = m.log
  left join cursor on cursor.session = $2 and cursor.log = m.log
  where m.account = $1 ${only}
  group by log.n, cursor.seq, cursor.epoch`

const ALL_LOGS = visibleLogs('')
const SOME_LOGS = visibleLogs('and m.log = any(array(select n from log where name = any($3::text[])))')

/** `names` null: all of the account. */
function readVisibleLogs(
  work: Work,
  account: number,
  session: number | null,
  names: readonly LogId[] | null,
): Promise<VisibleLog[]> {
  return names === null
    ? work.query<VisibleLog>(ALL_LOGS, [account, session])
    : work.query<VisibleLog>(SOME_LOGS, [account, session, names])
}

async function placeAll(work: Work, logs: readonly VisibleLog[], backlogMax: number): Promise<BehindLog[]> {
  const places: BehindLog[] = []
  for (const row of logs) places.push(await placeLog(work, row, backlogMax))
  return places
}

async function placeLog(work: Work, row: VisibleLog, backlogMax: number): Promise<BehindLog> {
  if (!isOfAnotherLife(row)) return placeKnown(row, backlogMax)
  // A cursor of this life that is beyond its head: entries were lost.
  return placeRestored(row, row.cursorEpoch === row.epoch ? await raiseEpoch(work, row) : row.epoch)
}

/** Begins a new life of a log that has lost entries which a device had; of several who find that, one does. */
async function raiseEpoch(work: Work, { n, epoch }: VisibleLog): Promise<number> {
  await work.query('update log set epoch = epoch + 1 where n = $1 and epoch = $2', [n, epoch])
  const [row] = await work.query<{ epoch: number }>('select epoch from log where n = $1', [n])
  return row!.epoch
}

/**
 * Moves cursors over what the session's own device wrote right after them: a device that only sends, and leaves before
 * its entries have rung here, piles up no backlog.
 */
async function passOwn(work: Work, logs: readonly VisibleLog[], session: number): Promise<void> {
  const behind = logs.filter((log) => log.visible > (log.cursor ?? log.from - 1) && !isOfAnotherLife(log))
  if (behind.length === 0) return
  const others = await work.query<{ n: number; seq: number | null }>(
    `select log.n, (
       select seq from entry
       where entry.log = log.n and seq > log.cursor and seq <= log.visible
         and (account <> session.account or device is distinct from session.device)
       order by seq limit 1
     ) as seq
     from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as log (n, cursor, visible), session
     where session.n = $4`,
    [
      behind.map((log) => log.n),
      behind.map((log) => log.cursor ?? log.from - 1),
      behind.map((log) => log.visible),
      session,
    ],
  )
  const firstOf = new Map(others.map(({ n, seq }) => [n, seq]))
  const moved = behind.filter((log) => {
    const first = firstOf.get(log.n)
    const cursor = first == null ? log.visible : first - 1
    if (first === undefined || cursor <= (log.cursor ?? log.from - 1)) return false
    log.cursor = cursor
    log.cursorEpoch = log.epoch
    return true
  })
  if (moved.length === 0) return
  await writeCursors(
    work,
    moved.map(({ n, cursor, epoch }) => ({ session, log: n, seq: cursor!, epoch })),
  )
}

/** Gives logs without a cursor the place of their last entry up to a time, but not before the user's window. */
async function placeByTime(work: Work, logs: readonly VisibleLog[], startedAt: number): Promise<void> {
  const rows = await work.query<{ n: number; seq: number }>(
    `select log.n, coalesce((
       select seq from entry where entry.log = log.n and at <= $2 order by seq desc limit 1
     ), 0) as seq
     from unnest($1::bigint[]) as log (n)`,
    [logs.map((log) => log.n), startedAt],
  )
  const seqs = new Map(rows.map((row) => [row.n, row.seq]))
  for (const log of logs) {
    log.cursor = Math.min(Math.max(seqs.get(log.n) ?? 0, log.from - 1), Math.max(log.visible, log.from - 1))
    log.cursorEpoch = log.epoch
  }
}

/**
 * A time, ms, such that every entry of that time or before is committed: entries take their time after their
 * transaction has begun, so none that is still open has an earlier one.
 */
async function readQuietTime(work: Work): Promise<number> {
  const [row] = await work.query<{ at: number }>(
    `select (extract(epoch from least(clock_timestamp(), min(xact_start))) * 1000)::bigint - 1 as at
     from pg_stat_activity
     where datname = current_database() and usename = current_user and backend_xid is not null`,
  )
  return row!.at
}
