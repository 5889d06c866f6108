/**
 * Retention: entries older than their kind of conversation keeps them are deleted, in small steps. Numbers never move: the
 * log's `first` rises, pages say it, and a device that had not received what is gone is told by a gap.
 *
 * What nobody read and is gone counts as read, so that unread stays what can be seen. That is done before anything is
 * deleted, a few readers at a time.
 */
import { type LogId, logKind, peopleOf } from '../../../../protocol/ids.ts'
import { forgetContent } from '../entries/content.ts'
import type { LogFacts, Transaction } from '../transaction.ts'

export type RetainedKind = 'direct' | 'system' | 'group' | 'room' | 'notice'

/** By kind of conversation, entries that are older than this time (ms since 1970) go; null keeps all. */
export type RetentionTimes = { readonly [Kind in RetainedKind]: number | null }

/** A log whose oldest entries are older than they may be, and the last of them that this round takes. */
export type ExpiredLog = { log: LogId; upTo: number }

/** Entries deleted by one step. */
const ENTRIES_EACH = 200
/** With as many reactions gone, a step ends before its entries do. */
const REACTIONS_EACH = 2000
const READERS_EACH = 200
/** A message may be deleted by each member of a group for themselves. */
const HIDDEN_EACH = 2000

export const retentionTasks = {
  /**
   * Looks at `limit` logs after number `after` and answers those with something to delete, and the number to go on with:
   * null at the end.
   */
  async findExpired(
    tx: Transaction,
    { after, limit, times }: { after: number; limit: number; times: RetentionTimes },
  ): Promise<{ expired: ExpiredLog[]; next: number | null }> {
    const rows = await tx.query<LogRow>(
      `select log.n, log.name, log.first, chat_group.kind,
         (select entry.at from entry where entry.log = log.n and entry.seq >= log.first
          order by entry.seq limit 1) as oldest
       from log left join chat_group on chat_group.log = log.n
       where log.n > $1 order by log.n limit $2`,
      [after, limit],
    )
    const expired: ExpiredLog[] = []
    for (const row of rows) {
      const before = row.oldest === null ? null : times[await kindOf(tx, row)]
      if (before === null || row.oldest! >= before) continue
      const last = await tx.first<{ seq: number }>(
        `select max(seq) as seq from (
           select seq, at from entry where log = $1 and seq >= $2 order by seq limit $3
         ) as oldest where at < $4`,
        [row.n, row.first, ENTRIES_EACH, before],
      )
      expired.push({ log: row.name, upTo: last!.seq })
    }
    return { expired, next: rows.length < limit ? null : rows.at(-1)!.n }
  },

  /** One step towards a log without its entries up to `upTo`; answers whether that is reached. */
  async deleteExpired(tx: Transaction, { log: name, upTo }: ExpiredLog): Promise<boolean> {
    const log = await tx.lockLog(name)
    if (log === undefined) return true
    if (upTo < log.first) return (await forgetHidden(tx, log.n, upTo)) < HIDDEN_EACH
    let end = Math.min(upTo, log.head, log.first + ENTRIES_EACH - 1)
    if ((await readUpTo(tx, log, end)) === READERS_EACH) return false
    const entries = await tx.query<{ seq: number }>(
      'select seq from entry where log = $1 and seq <= $2 order by seq limit $3',
      [log.n, end, ENTRIES_EACH],
    )
    let reactions = 0
    for (const { seq } of entries) {
      reactions += await forgetContent(tx, log.n, seq)
      if (reactions < REACTIONS_EACH) continue
      end = seq
      break
    }
    await tx.query('delete from entry where log = $1 and seq between $2 and $3', [log.n, log.first, end])
    await tx.query('update log set first = $2 where n = $1', [log.n, end + 1])
    return (await forgetHidden(tx, log.n, end)) < HIDDEN_EACH && end >= upTo
  },
}

/** Who had deleted what is gone for everybody now, some at a time; answers how many rows went. */
async function forgetHidden(tx: Transaction, log: number, end: number): Promise<number> {
  const rows = await tx.query(
    `delete from hidden where (account, log, seq) in (
       select account, log, seq from hidden where log = $1 and seq <= $2 limit $3) returning 1 as one`,
    [log, end, HIDDEN_EACH],
  )
  return rows.length
}

type LogRow = {
  n: number
  name: LogId
  first: number
  /** Of a group. */
  kind: string | null
  /** Time of the first entry that is kept. */
  oldest: number | null
}

async function kindOf(tx: Transaction, { name, kind }: LogRow): Promise<RetainedKind> {
  const log = logKind(name)
  if (log === 'notice') return 'notice'
  if (log !== 'direct') return kind === 'room' ? 'room' : 'group'
  const system = await tx.first<object>(
    `select 1 from account where uid in ${tx.list('$1', 'text')} and kind = 'system' limit 1`,
    [peopleOf(name)],
  )
  return system === undefined ? 'direct' : 'system'
}

/**
 * Moves read pointers that lie below `end` up to it, some at a time; answers how many were moved. Of who left, only where
 * something they may see is kept.
 */
async function readUpTo(tx: Transaction, log: LogFacts, end: number): Promise<number> {
  const last = await tx.first<{ messages: number }>(
    'select message_no as messages from entry where log = $1 and seq = $2',
    [log.n, end],
  )
  const moved = await tx.query(
    `update reader set read_seq = $2, read_messages = $3, read_own = read_own + (
         select count(*) from entry where entry.log = $1 and entry.seq > reader.read_seq and entry.seq <= $2
           and entry.account = reader.account and entry.kind = 'message')
     where log = $1 and account in (
       select behind.account from membership
       join reader as behind on behind.account = membership.account and behind.log = membership.log
       where membership.log = $1 and (membership.to_seq is null or membership.to_seq > $2) and behind.read_seq < $2
       limit $4)
     returning 1`,
    [log.n, end, last?.messages ?? 0, READERS_EACH],
  )
  return moved.length
}
