/** The logs of conversations, for calls: their rows, their windows, and entries that are not sends. */
import { encodeEntry } from '../../../protocol/entry.ts'
import { type DeviceId, type LogId, peopleOf, type UserId } from '../../../protocol/ids.ts'
import { encodeEpoch } from '../epoch.ts'
import type { Work } from './work.ts'

export type NewEntry = {
  kind: string
  uid: UserId
  device: DeviceId | null
  type: string
  bodyJson: string
  isPersonal?: boolean
}

type GrownLog = { n: number; epoch: number; head: number; messages: number; last_at: number }

/**
 * Appends an entry of a call (not of a send) and has the feed report it. The row of the log stays locked until the
 * end of the transaction; a direct or notice log is made if it is new, with the windows of its people. Append to
 * several logs in the order of their names, so that two calls do not wait for each other.
 */
export async function appendEntry(
  work: Work,
  log: LogId,
  entry: NewEntry,
): Promise<{ seq: number; at: number }> {
  const account = await work.ensureAccount(entry.uid)
  const isMessage = entry.kind === 'message' ? 1 : 0
  let grown = await growLog(work, log, isMessage)
  if (grown === undefined) {
    await createLog(work, log)
    grown = (await growLog(work, log, isMessage))!
  }
  const { n, epoch, head, messages, last_at } = grown
  await work.query(
    `insert into entry (log, seq, message_no, at, kind, account, device, id, id_hash, type, body)
     values ($1, $2, $3, $4, $5, $6, $7, null, null, $8, $9)`,
    [n, head, messages, last_at, entry.kind, account, entry.device, entry.type, entry.bodyJson],
  )
  if (isMessage) {
    await work.query('update reader set own = own + 1 where account = $1 and log = $2', [account, n])
  }
  const { kind, uid, device, type, bodyJson, isPersonal = false } = entry
  const place = { log, epoch: encodeEpoch(epoch), seq: head }
  const json = encodeEntry({ ...place, at: last_at, kind, from: uid, device, id: null, type, bodyJson })
  work.feed.push({ kind: 'entry', ...place, uid, device, isPersonal, json })
  return { seq: head, at: last_at }
}

async function growLog(work: Work, log: LogId, messages: number): Promise<GrownLog | undefined> {
  const [row] = await work.query<GrownLog>(
    `update log set head = head + 1, messages = messages + $2, last_at = greatest(last_at, $3)
     where name = $1 returning n, epoch, head, messages, last_at`,
    [log, messages, work.now],
  )
  return row
}

/** Makes the row of a log. Direct and notice logs get the windows of their people with it. */
async function createLog(work: Work, name: LogId): Promise<void> {
  const accounts: number[] = []
  for (const uid of peopleOf(name)) accounts.push(await work.ensureAccount(uid))
  // When another transaction makes the log at this moment, the insert waits for it, and its windows stand.
  await work.query(
    `with made as (
       insert into log (name, epoch, head, messages, first, last_at) values ($1, 1, 0, 0, 1, $2)
       on conflict (name) do nothing returning n
     ), windows as (
       insert into membership (account, log, from_seq, to_seq, joined_at, xid)
       select account, made.n, 1, null, $2, null from made, unnest($3::bigint[]) as account
     )
     insert into reader (account, log, read_seq, read_messages, own, read_own)
     select account, made.n, 0, 0, 0, 0 from made, unnest($3::bigint[]) as account`,
    [name, work.now, accounts],
  )
}
