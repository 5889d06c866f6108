/**
 * The read pointer of a person in a log. With it go two numbers, the messages and the own messages up to it, from
 * which unread is a subtraction (views.ts).
 */
import { logKind } from '../../../../protocol/ids.ts'
import { startExpiry } from '../entries/expiry.ts'
import type { Person, Transaction } from '../transaction.ts'
import { type ConversationView, type ListedView, unreadEnds } from './views.ts'

/**
 * Moves the pointer forward to `seq`, which is visible, and tells the person's devices; false when it is there
 * already. What is written is counted at `seq` itself, not added to the row, so that of two calls the later seq wins.
 */
export async function moveReadPointer(
  tx: Transaction,
  { uid, account }: Person,
  view: ConversationView,
  seq: number,
): Promise<boolean> {
  if (seq <= view.readSeq) return false
  const entry = await tx.first<{ messages: number }>(
    'select message_no as messages from entry where log = $1 and seq = $2',
    [view.n, seq],
  )
  const moved = await tx.query(
    `update reader set read_seq = $3, read_messages = $4, read_own = $5
     where account = $1 and log = $2 and read_seq < $3 returning 1`,
    [account, view.n, seq, entry?.messages ?? view.readMessages, await ownUpTo(tx, account, view, seq)],
  )
  if (moved.length === 0) return false
  tx.readMoved(uid, view.name, seq)
  if (logKind(view.name) === 'direct') {
    await startExpiry(tx, view.n, account, view.readSeq + 1, seq)
  }
  return true
}

/**
 * Moves the pointers of these logs to their heads. What is own is taken from the same moment as the heads, so that a
 * send of this moment stays what it is.
 */
export async function moveReadPointersToHead(
  tx: Transaction,
  { uid, account }: Person,
  views: readonly ListedView[],
): Promise<void> {
  if (views.length === 0) return
  const moved = await tx.query<{ log: number; read_seq: number }>(
    `update reader set read_seq = ends.head, read_messages = ends.messages, read_own = ends.own
     from (${unreadEnds(`and log in ${tx.list('$2', 'number')}`)}) as ends
     where reader.account = $1 and reader.log = ends.n and reader.read_seq < ends.head
     returning reader.log, reader.read_seq`,
    [account, views.map(({ n }) => n)],
  )
  const names = new Map(views.map(({ n, name }) => [n, name]))
  const ends = new Map(moved.map(({ log, read_seq }) => [log, read_seq]))
  for (const [log, end] of ends) tx.readMoved(uid, names.get(log)!, end)
  const expiring = await tx.query<{ log: number }>(
    `select distinct log from expiry where log in ${tx.list('$1', 'number')} and after_read_ms is not null`,
    [[...ends.keys()].filter((log) => logKind(names.get(log)!) === 'direct')],
  )
  for (const { log } of expiring) await startExpiry(tx, log, account, 1, ends.get(log)!)
}

/** Own messages up to `seq`, counted from the nearer end: from the old pointer up, or from the head down. */
async function ownUpTo(
  tx: Transaction,
  account: number,
  view: ConversationView,
  seq: number,
): Promise<number> {
  if (seq - view.readSeq <= view.head - seq) {
    return view.readOwn + (await countOwn(tx, account, view.n, view.readSeq + 1, seq))
  }
  return view.own - (await countOwn(tx, account, view.n, seq + 1, view.head))
}

async function countOwn(
  tx: Transaction,
  account: number,
  log: number,
  from: number,
  to: number,
): Promise<number> {
  if (from > to) return 0
  const row = await tx.first<{ count: number }>(
    `select count(*) as count from entry
     where log = $1 and seq between $2 and $3 and account = $4 and kind = 'message'`,
    [log, from, to, account],
  )
  return row!.count
}
