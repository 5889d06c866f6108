/**
 * What was moved into a conversation counts as read by everybody. In a group of 100,000 that is too much for one
 * transaction: the import itself moves the first read pointers, and steps that any process does move the others, along
 * the members in the order in which they joined. How far that is stands in `imported`.
 */
import type { LogId } from '../../../../protocol/ids.ts'
import type { LogFacts, Transaction } from '../transaction.ts'

/** Members looked at by one transaction. */
export const READERS_EACH = 500

/** A log with messages up to `head` that count as read, and the last member who was looked at. */
type Imported = { log: number; head: number; messages: number; joined_seq: number; member: number }

/** Whether there is a log in which not everybody has read what was moved in. */
export const IMPORTED_WAIT = 'exists (select 1 from imported)'

export const importedReadingTasks = {
  /** Does one step; answers whether there may be more. */
  async readImported(tx: Transaction, _input: object): Promise<boolean> {
    const next = await tx.first<{ log: number; name: LogId }>(
      'select log.n as log, log.name from imported join log on log.n = imported.log limit 1',
    )
    if (next === undefined) return false
    await tx.lockLog(next.name)
    const imported = await tx.first<Imported>('select * from imported where log = $1', [next.log])
    if (imported !== undefined) await readSome(tx, imported)
    return true
  },
} as const

/** Everything in the log, which is locked, counts as read by everybody from now on, or soon. */
export async function readAll(tx: Transaction, { n: log }: LogFacts): Promise<void> {
  const [imported] = await tx.query<Imported>(
    `insert into imported (log, head, messages, joined_seq, member)
     select n, head, messages, 0, 0 from log where n = $1
     on conflict (log) do update set head = excluded.head, messages = excluded.messages, joined_seq = 0, member = 0
     returning *`,
    [log],
  )
  await readSome(tx, imported!)
}

async function readSome(tx: Transaction, { log, head, messages, ...at }: Imported): Promise<void> {
  const members = await tx.query<{ account: number; from_seq: number }>(
    `select account, from_seq from membership
     where log = $1 and to_seq is null and (from_seq, account) > ($2, $3) order by from_seq, account limit $4`,
    [log, at.joined_seq, at.member, READERS_EACH],
  )
  // What they wrote since is their own, and behind the pointer; it is as much as was written in a log since the import.
  await tx.query(
    `with since as materialized (
       select account, count(*) as own from entry where log = $1 and seq > $2 and kind = 'message' group by account
     )
     update reader set read_seq = $2, read_messages = $3,
       read_own = own - coalesce((select since.own from since where since.account = reader.account), 0)
     where log = $1 and read_seq < $2 and account in ${tx.list('$4', 'number')}`,
    [log, head, messages, members.map(({ account }) => account)],
  )
  const last = members.at(-1)
  if (last === undefined || members.length < READERS_EACH) {
    await tx.query('delete from imported where log = $1', [log])
  } else {
    await tx.query('update imported set joined_seq = $2, member = $3 where log = $1', [
      log,
      last.from_seq,
      last.account,
    ])
  }
}
