/** What an operator asks of the store. */
import type { EntryFacts, ReaderRow } from '../../../protocol/admin/rows.ts'
import { WochatError } from '../../../protocol/errors.ts'
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import { encodeEpoch } from '../epoch.ts'
import type { InspectionStore } from '../inspection.ts'
import type { Operations, Work } from './work.ts'

type LogRow = { n: number; epoch: number; head: number }
type MemberRow = { account: number; uid: UserId; from_seq: number }

export const inspectionOperations: Operations<InspectionStore> = {
  async inspectDevices(work, uid) {
    const account = await work.findAccount(uid)
    if (account === undefined) return null
    const rows = await work.query<{
      id: DeviceId
      session: number | null
      expires_at: number | null
      pending: number | null
    }>(
      `select device.id, session.n as session, session.expires_at,
         case when session.inbox_started = 1 then (
           select coalesce(sum(greatest(0, visible - position)), 0)::int8 from (
             select max(coalesce(m.to_seq, log.head)) as visible,
               coalesce(max(cursor.seq), min(m.from_seq) - 1) as position
             from membership m
             join log on log.n = m.log
             left join cursor on cursor.session = session.n and cursor.log = m.log
             where m.account = device.account group by m.log) as behind)
         end as pending
       from device left join session on session.client_id = $1 || '/' || device.id
       where device.account = $2 and (revoked_at is null or seen_at > revoked_at) order by device.id`,
      [uid, account],
    )
    return rows.map(({ id, session, expires_at, pending }) => ({
      device: id,
      session: session === null ? null : { expiresAt: expires_at, pending },
    }))
  },

  async inspectEntry(work, { log, seq }) {
    const { n, epoch, head } = await getLog(work, log)
    const [row] = await work.query<Omit<EntryFacts, 'log' | 'epoch' | 'seq' | 'head'>>(
      `select entry.at, entry.kind, account.uid as "from", entry.device, entry.id, entry.type
       from entry join account on account.n = entry.account where entry.log = $1 and entry.seq = $2`,
      [n, seq],
    )
    if (row === undefined) throw new WochatError('unknown_entry')
    return { log, epoch: encodeEpoch(epoch), seq, head, ...row }
  },

  async inspectReaders(work, { log, seq, membersMax, cursor }) {
    const { n, epoch } = await getLog(work, log)
    const after = cursor === null ? { fromSeq: 0, account: 0 } : await parseCursor(work, cursor)
    const members = await work.query<MemberRow>(
      `select m.account, account.uid, m.from_seq
       from membership m join account on account.n = m.account
       where m.log = $1 and m.to_seq is null and m.from_seq <= $2 and (m.from_seq, m.account) > ($3, $4)
       order by m.from_seq, m.account limit $5`,
      [n, seq, after.fromSeq, after.account, membersMax + 1],
    )
    const page = members.slice(0, membersMax)
    const last = page.at(-1)
    return {
      readers: await readersOf(work, page, { log: n, epoch, seq }),
      cursor: members.length > membersMax && last !== undefined ? `${last.from_seq}.${last.uid}` : null,
    }
  },
}

async function getLog(work: Work, log: LogId): Promise<LogRow> {
  const [row] = await work.query<LogRow>('select n, epoch, head from log where name = $1', [log])
  if (row === undefined) throw new WochatError('unknown_log')
  return row
}

/** The sessions of the members, in their order; a member without one has a row of its own. */
async function readersOf(
  work: Work,
  members: readonly MemberRow[],
  entry: { log: number; epoch: number; seq: number },
): Promise<ReaderRow[]> {
  const rows = await work.query<{ uid: UserId; device: DeviceId | null; cursor: number | null }>(
    `select m.uid, session.device, cursor.seq as cursor
     from unnest($1::int8[], $2::text[]) with ordinality as m (account, uid, place)
     left join (device join session on session.account = device.account and session.device = device.id)
       on device.account = m.account
     left join cursor on cursor.session = session.n and cursor.log = $3 and cursor.epoch = $4
     order by m.place, session.device`,
    [members.map(({ account }) => account), members.map(({ uid }) => uid), entry.log, entry.epoch],
  )
  return rows.map((row) => ({ ...row, isAcknowledged: row.cursor !== null && row.cursor >= entry.seq }))
}

async function parseCursor(work: Work, cursor: string): Promise<{ fromSeq: number; account: number }> {
  const [, fromSeq, uid] = /^(\d{1,15})\.(.+)$/.exec(cursor) ?? []
  const account = uid === undefined ? undefined : await work.findAccount(uid as UserId)
  if (account === undefined) throw new WochatError('bad_request', 'cursor: not one of this operation')
  return { fromSeq: Number(fromSeq), account }
}
