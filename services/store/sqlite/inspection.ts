/** What an operator asks of the store. */
import type { EntryFacts, ReaderRow } from '../../../protocol/admin/rows.ts'
import { WochatError } from '../../../protocol/errors.ts'
import type { DeviceId, UserId } from '../../../protocol/ids.ts'
import { encodeEpoch } from '../epoch.ts'
import type { InspectionStore } from '../inspection.ts'
import type { Operations } from './operations.ts'
import type { Work } from './work.ts'

type DeviceRow = { id: DeviceId; session: number | null; started: number | null; expires_at: number | null }
type MemberRow = { account: number; from_seq: number }

export const inspectionOperations: Operations<InspectionStore> = {
  inspectDevices(work, uid) {
    work.logs.file()
    const account = work.accounts.find(uid)
    if (account === undefined) return null
    return devicesOf(work, account, uid).map(({ id, session, started, expires_at }) => ({
      device: id,
      session:
        session === null
          ? null
          : { expiresAt: expires_at, pending: started === 1 ? pendingOf(work, account, session) : null },
    }))
  },

  inspectEntry(work, { log, seq }) {
    work.logs.file()
    const state = work.logs.state(log)
    if (state.n === 0) throw new WochatError('unknown_log')
    const row = work.db
      .prepare('select at, kind, account, device, id, type from entry where log = ? and seq = ?')
      .get(state.n, seq) as
      | (Pick<EntryFacts, 'at' | 'kind' | 'device' | 'id' | 'type'> & { account: number })
      | undefined
    if (row === undefined) throw new WochatError('unknown_entry')
    const { account, ...entry } = row
    return {
      log,
      epoch: encodeEpoch(state.epoch),
      seq,
      from: work.accounts.uidOf(account),
      head: state.head,
      ...entry,
    }
  },

  inspectReaders(work, { log, seq, membersMax, cursor }) {
    const { n, epoch } = work.logs.state(log)
    const after = cursor === null ? { fromSeq: 0, account: 0 } : parseCursor(work, cursor)
    const members = work.db
      .prepare(
        `select account, from_seq from membership
         where log = ? and to_seq is null and from_seq <= ? and (from_seq, account) > (?, ?)
         order by from_seq, account limit ?`,
      )
      .all(n, seq, after.fromSeq, after.account, membersMax + 1) as MemberRow[]
    const page = members.slice(0, membersMax)
    const last = page.at(-1)
    return {
      readers: page.flatMap(({ account }) => readersOf(work, account, { log: n, epoch, seq })),
      cursor:
        members.length > membersMax && last !== undefined
          ? `${last.from_seq}.${work.accounts.uidOf(last.account)}`
          : null,
    }
  },
}

function devicesOf(work: Work, account: number, uid: UserId): DeviceRow[] {
  return work.db
    .prepare(
      `select device.id, session.n as session, session.inbox_started as started, session.expires_at
       from device left join session on session.client_id = ? || '/' || device.id
       where device.account = ? and (revoked_at is null or seen_at > revoked_at) order by device.id`,
    )
    .all(uid, account) as DeviceRow[]
}

/** What is behind the cursors of a session, as its next start would count it without a bound on backlogs. */
function pendingOf(work: Work, account: number, session: number): number {
  const { pending } = work.db
    .prepare(
      `select coalesce(sum(max(0, visible - position)), 0) as pending from (
         select max(coalesce(m.to_seq, log.head)) as visible, coalesce(cursor.seq, min(m.from_seq) - 1) as position
         from membership m
         join log on log.n = m.log
         left join cursor on cursor.session = ? and cursor.log = m.log
         where m.account = ? group by m.log)`,
    )
    .get(session, account) as { pending: number }
  return pending
}

function readersOf(
  work: Work,
  account: number,
  entry: { log: number; epoch: number; seq: number },
): ReaderRow[] {
  const uid = work.accounts.uidOf(account)
  const sessions = devicesOf(work, account, uid).filter(({ session }) => session !== null)
  if (sessions.length === 0) return [{ uid, device: null, cursor: null, isAcknowledged: false }]
  const find = work.db.prepare('select seq from cursor where session = ? and log = ? and epoch = ?')
  return sessions.map(({ id, session }) => {
    const row = find.get(session, entry.log, entry.epoch) as { seq: number } | undefined
    const cursor = row?.seq ?? null
    return { uid, device: id, cursor, isAcknowledged: cursor !== null && cursor >= entry.seq }
  })
}

function parseCursor(work: Work, cursor: string): { fromSeq: number; account: number } {
  const [, fromSeq, uid] = /^(\d{1,15})\.(.+)$/.exec(cursor) ?? []
  const account = uid === undefined ? undefined : work.accounts.find(uid)
  if (account === undefined) throw new WochatError('bad_request', 'cursor: not one of this operation')
  return { fromSeq: Number(fromSeq), account }
}
