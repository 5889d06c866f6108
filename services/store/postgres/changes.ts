/**
 * What has changed since a position in the order of commits.
 *
 * A position is the `xmin` of a snapshot: each transaction that is not seen by the snapshot has an id at or above
 * it. So what was committed after the position is among the rows whose `xid` is at or above it, and with it some
 * that were committed before. Entries carry the id of the transaction that wrote them, and windows, logins, devices
 * and suspended accounts that of their last change. Entries are found through a BRIN index: an index on logs would have to follow each send.
 */
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import { encodeEpoch } from '../epoch.ts'
import type { CommitPosition, SharedStore, StoreChanges } from '../shared-store.ts'
import type { Operations, Work } from './work.ts'

type ChangeCalls = Pick<SharedStore, 'position' | 'changesSince'>

/** What pages are made of, one kind after the other. */
const KINDS = ['logs', 'windows', 'logins', 'devices', 'suspensions'] as const

/**
 * Where reading stands: `{since}` alone, or with the position from which to go on after the last page, the kind that
 * is being read, and the last key that was read of it.
 */
type Place = { since: string; until: string; kind: number; after: number[] }

const POSITION = /^(\d{1,20})(?:\/(\d{1,20})\/([0-4])\/([\d.]*))?$/

export const changeOperations: Operations<ChangeCalls> = {
  position(work) {
    return readPosition(work)
  },

  async changesSince(work, { since, rowsMax }) {
    const place = parsePlace(since)
    // Before the first page is read: what commits from now on is found from here.
    if (place.until === '') place.until = await readPosition(work)
    const changes: StoreChanges = { logs: [], windows: [], endedLogins: [] }
    let left = Math.max(1, rowsMax)
    while (left > 0 && place.kind < KINDS.length) {
      const keys = await READERS[KINDS[place.kind]!](work, place, left, changes)
      if (keys.length < left) {
        place.kind++
        place.after = []
      } else place.after = keys.at(-1)!
      left -= keys.length
    }
    const isLast = place.kind >= KINDS.length
    return { changes, next: isLast ? place.until : encodePlace(place), isLast }
  },
}

async function readPosition(work: Work): Promise<CommitPosition> {
  const [row] = await work.query<{ position: string }>(
    'select pg_snapshot_xmin(pg_current_snapshot())::text as position',
  )
  return row!.position
}

function parsePlace(text: CommitPosition): Place {
  const [, since, until = '', kind = '0', after = ''] = POSITION.exec(text) ?? []
  if (since === undefined) throw new Error(`${text} is no position of this store`)
  return { since, until, kind: Number(kind), after: after === '' ? [] : after.split('.').map(Number) }
}

function encodePlace({ since, until, kind, after }: Place): CommitPosition {
  return `${since}/${until}/${kind}/${after.join('.')}`
}

/** Adds up to `rowsMax` rows after the place; answers their keys. */
type Reader = (work: Work, place: Place, rowsMax: number, changes: StoreChanges) => Promise<number[][]>

const READERS: Record<(typeof KINDS)[number], Reader> = {
  logs: readLogs,
  windows: readWindows,
  logins: readLogins,
  devices: readDevices,
  suspensions: readSuspensions,
}

async function readLogs(
  work: Work,
  place: Place,
  rowsMax: number,
  changes: StoreChanges,
): Promise<number[][]> {
  const rows = await work.query<{ n: number; name: LogId; epoch: number; head: number }>(
    `select n, name, epoch, head from log
     where n > $2 and n in (
       select log from entry where xid >= $1 union all select n from log where xid >= $1)
     order by n limit $3`,
    [place.since, place.after[0] ?? 0, rowsMax],
  )
  for (const { name, epoch, head } of rows) changes.logs.push({ log: name, epoch: encodeEpoch(epoch), head })
  return rows.map((row) => [row.n])
}

async function readWindows(
  work: Work,
  place: Place,
  rowsMax: number,
  changes: StoreChanges,
): Promise<number[][]> {
  const rows = await work.query<{
    account: number
    log: number
    from_seq: number
    to_seq: number | null
    name: LogId
    uid: UserId
  }>(
    `select m.account, m.log, m.from_seq, m.to_seq, log.name, account.uid
     from membership m join log on log.n = m.log join account on account.n = m.account
     where m.xid >= $1 and (m.log, m.account, m.from_seq) > ($2, $3, $4) and log.name like 'g:%'
     order by m.log, m.account, m.from_seq limit $5`,
    [place.since, ...keyOf(place, 3), rowsMax],
  )
  for (const { name, uid, from_seq, to_seq } of rows) {
    changes.windows.push({ log: name, uid, fromSeq: from_seq, toSeq: to_seq })
  }
  return rows.map((row) => [row.log, row.account, row.from_seq])
}

async function readLogins(
  work: Work,
  place: Place,
  rowsMax: number,
  changes: StoreChanges,
): Promise<number[][]> {
  // By the transaction, and within it by a count: a sid is no number.
  const rows = await work.query<{ xid: number; place: number; uid: UserId; device: DeviceId; sid: string }>(
    `select * from (
       select login.xid, row_number() over (partition by login.xid order by sid) as place,
         account.uid, login.device, login.sid
       from login join account on account.n = login.account where login.xid >= $1
     ) as ended
     where (xid, place) > ($2, $3) order by xid, place limit $4`,
    [place.since, ...keyOf(place, 2), rowsMax],
  )
  for (const { uid, device, sid } of rows) changes.endedLogins.push({ uid, device, sid })
  return rows.map((row) => [row.xid, row.place])
}

async function readDevices(
  work: Work,
  place: Place,
  rowsMax: number,
  changes: StoreChanges,
): Promise<number[][]> {
  const rows = await work.query<{ xid: number; place: number; uid: UserId; device: DeviceId }>(
    `select * from (
       select device.xid, row_number() over (partition by device.xid order by account, id) as place,
         account.uid, device.id as device
       from device join account on account.n = device.account
       where device.xid >= $1 and device.revoked_at is not null
     ) as ended
     where (xid, place) > ($2, $3) order by xid, place limit $4`,
    [place.since, ...keyOf(place, 2), rowsMax],
  )
  for (const { uid, device } of rows) changes.endedLogins.push({ uid, device, sid: null })
  return rows.map((row) => [row.xid, row.place])
}

async function readSuspensions(
  work: Work,
  place: Place,
  rowsMax: number,
  changes: StoreChanges,
): Promise<number[][]> {
  const rows = await work.query<{ n: number; uid: UserId }>(
    `select n, uid from account where xid >= $1 and suspended_until is not null and n > $2 order by n limit $3`,
    [place.since, ...keyOf(place, 1), rowsMax],
  )
  for (const { uid } of rows) changes.endedLogins.push({ uid, device: null, sid: null })
  return rows.map(({ n }) => [n])
}

function keyOf({ after }: Place, length: number): number[] {
  return Array.from({ length }, (_, i) => after[i] ?? 0)
}
