/** Who has read what: the own read pointers, and what others may learn of them. */
import { WochatError } from '../../../../protocol/errors.ts'
import { type LogId, peerOf, type UserId } from '../../../../protocol/ids.ts'
import { LIST_ITEMS_DEFAULT } from '../../../../protocol/limits.ts'
import { WITHHELD } from '../../withheld.ts'
import { touch } from '../changes.ts'
import { canSee, getReadable, type Readable } from '../entries/access.ts'
import type { StoredOperations } from '../stored.ts'
import type { Transaction } from '../transaction.ts'
import { moveReadPointer, moveReadPointersToHead } from './unread.ts'
import { badgeOf, findView, isWaiting, listedViews } from './views.ts'

/** Conversations that one call marks as read. */
const READ_ALL_MAX = 1000
/** Of these, how many share a version, so that a page of changes stays small. */
const TOUCHED_TOGETHER = 100

export const receiptOperations: StoredOperations<
  'conversations.read' | 'conversations.readAll' | 'messages.receipts' | 'messages.readers'
> = {
  async 'conversations.read'(tx, { caller, log, seq }) {
    const account = await tx.findAccount(caller.uid)
    if (account === undefined) throw new WochatError('unknown_log')
    await tx.lockAccounts([account])
    const view = await findView(tx, account, log)
    if (view === undefined) throw new WochatError('unknown_log')
    const isMoved = await moveReadPointer(tx, { uid: caller.uid, account }, view, Math.min(seq, view.head))
    if (view.markedUnread === 1) await unmark(tx, account, [view.n])
    if (isMoved || view.markedUnread === 1) await touch(tx, account, 'conversations', view.name)
    const { readSeq, unread } = (await findView(tx, account, log))!
    return { readSeq, unread, badge: await badgeOf(tx, account) }
  },

  async 'conversations.readAll'(tx, { caller }) {
    const account = await tx.findAccount(caller.uid)
    if (account === undefined) return { read: 0, badge: 0, more: false }
    await tx.lockAccounts([account])
    const waiting = (await listedViews(tx, account)).filter(isWaiting)
    const marked = waiting.slice(0, READ_ALL_MAX)
    await moveReadPointersToHead(tx, { uid: caller.uid, account }, marked)
    await unmark(
      tx,
      account,
      marked.map(({ n }) => n),
    )
    for (let start = 0; start < marked.length; start += TOUCHED_TOGETHER) {
      const together = marked.slice(start, start + TOUCHED_TOGETHER)
      await touch(tx, account, 'conversations', ...together.map(({ name }) => name))
    }
    return {
      read: marked.length,
      badge: await badgeOf(tx, account),
      more: marked.length < waiting.length,
    }
  },

  async 'messages.receipts'(tx, { caller, log, seq }) {
    const readable = await getReadable(tx, caller, log)
    const peer = await findPeer(tx, caller.uid, readable.log.name)
    if (peer === undefined) throw new WochatError('bad_request', 'log: not a direct conversation')
    const author = seq === undefined ? undefined : await authorOf(tx, readable, seq)
    const acknowledged = await acknowledgedBy(tx, peer, readable.log.n)
    const isTold = await sendsReadReceipts(tx, peer)
    const read = isTold ? await readSeqOf(tx, peer, readable.log.n) : 0
    const delivered = Math.max(acknowledged, read)
    const isWithin = (pointer: number) => seq !== undefined && (author === peer || seq <= pointer)
    return {
      delivered,
      ...(isTold && { read }),
      ...(seq !== undefined && { deliveredTo: isWithin(delivered) }),
      ...(seq !== undefined && isTold && { readBy: isWithin(read) }),
    }
  },

  async 'messages.readers'(tx, { caller, log, seq, limit = LIST_ITEMS_DEFAULT, cursor = '' }) {
    const readable = await getReadable(tx, caller, log)
    if (!readable.isOpen) throw new WochatError('not_member')
    await assertSmallGroup(tx, readable)
    const author = await authorOf(tx, readable, seq)
    const counted = await tx.first<{ read: number; of: number }>(
      `select count(*) as "of", count(case when ${HAS_READ} then 1 end) as read from ${MEMBERS_AT}`,
      [readable.log.n, seq, author],
    )
    const items = await tx.query<{ uid: UserId; readSeq: number }>(
      `select account.uid, reader.read_seq as "readSeq" from ${MEMBERS_AT}
       join account on account.n = membership.account
       where ${HAS_READ} and account.uid > $4 order by account.uid limit $5`,
      [readable.log.n, seq, author, cursor, limit + 1],
    )
    const page = items.slice(0, limit)
    return {
      read: counted!.read,
      of: counted!.of,
      items: page,
      ...(items.length > limit && { cursor: page.at(-1)!.uid }),
    }
  },
}

async function unmark(tx: Transaction, account: number, logs: readonly number[]): Promise<void> {
  await tx.query(
    `update conversation_state set marked_unread = 0, changed_at = $3
     where account = $1 and log in ${tx.list('$2', 'number')} and marked_unread = 1`,
    [account, logs, tx.now],
  )
}

// ---------------------------------------------------------------- of the other person

/** The account of the other person of a direct conversation; a person alone with themselves is the other, too. */
async function findPeer(tx: Transaction, uid: UserId, name: LogId): Promise<number | undefined> {
  const peer = peerOf(name, uid)
  return peer === null ? undefined : tx.findAccount(peer)
}

/** The highest seq up to which one of the person's devices has acknowledged everything. */
async function acknowledgedBy(tx: Transaction, account: number, log: number): Promise<number> {
  const row = await tx.first<{ seq: number | null }>(
    `select max(cursor.seq) as seq from session join cursor on cursor.session = session.n and cursor.log = $2
     where session.account = $1`,
    [account, log],
  )
  return row?.seq ?? 0
}

async function readSeqOf(tx: Transaction, account: number, log: number): Promise<number> {
  const row = await tx.first<{ seq: number }>(
    'select read_seq as seq from reader where account = $1 and log = $2',
    [account, log],
  )
  return row?.seq ?? 0
}

const READ_RECEIPTS_OFF = "name = 'sendReadReceipts' and value = 'false'"

async function sendsReadReceipts(tx: Transaction, account: number): Promise<boolean> {
  const off = await tx.first(`select 1 from setting where account = $1 and ${READ_RECEIPTS_OFF}`, [account])
  return off === undefined
}

// ---------------------------------------------------------------- of the members of a group

/** Of log $1: members, other than $3, who were in at seq $2 and are now. */
const MEMBERS_AT = `membership join reader on reader.account = membership.account and reader.log = membership.log
  and membership.log = $1 and membership.to_seq is null and membership.from_seq <= $2 and membership.account <> $3`

const HAS_READ = `reader.read_seq >= $2
  and not exists (select 1 from setting where setting.account = membership.account and ${READ_RECEIPTS_OFF})`

async function assertSmallGroup(tx: Transaction, { log }: Readable): Promise<void> {
  const group = await tx.first<{ members: number }>('select members from chat_group where log = $1', [log.n])
  if (group === undefined) throw new WochatError('bad_request', 'log: not a group')
  if (group.members > tx.policy.receiptMembersMax) throw new WochatError('receipts_off')
}

/** Of an entry that the caller may see; else `unknown_entry`. */
async function authorOf(tx: Transaction, readable: Readable, seq: number): Promise<number> {
  const entry = canSee(readable, seq)
    ? await tx.first<{ account: number; kind: string }>(
        'select account, kind from entry where log = $1 and seq = $2',
        [readable.log.n, seq],
      )
    : undefined
  if (entry === undefined || (entry.kind === WITHHELD && entry.account !== readable.account)) {
    throw new WochatError('unknown_entry')
  }
  return entry.account
}
