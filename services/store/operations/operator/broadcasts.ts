/**
 * Broadcasts: a message of a system account to many. One node at a time sends a broadcast, page by page, each message
 * under an id that follows from the broadcast and the account; so a page that is sent again is stored once.
 */
import {
  BROADCASTS_LISTED_MAX,
  type BroadcastFilter,
  type BroadcastRow,
} from '../../../../protocol/admin/broadcasts.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import type { UserId } from '../../../../protocol/ids.ts'
import { checkBody, type SendMarks } from '../../../../protocol/message-types.ts'
import { sawContent } from '../entries/access.ts'
import type { Transaction } from '../transaction.ts'
import type { OperatorOperations } from './operator.ts'

/** At once; each of them is sent at its own rate. */
export const BROADCASTS_RUNNING_MAX = 10
/** Accounts that one page looks at, to find those of a filter. */
const SCANNED_TOGETHER = 5000

type Row = {
  id: string
  account: number
  type: string
  body: string
  filter: string
  state: 'running' | 'done' | 'stopped'
  reached: number
  last: number
  sent: number
  skipped: number
  made_at: number
  ended_at: number | null
}

export const broadcastOperations: OperatorOperations<'broadcast' | 'broadcasts' | 'stopBroadcast'> = {
  async broadcast(tx, { id, from, type = 'text', body, filter = {} }) {
    const account = await tx.findAccount(from)
    const sender =
      account === undefined
        ? undefined
        : await tx.first<{ kind: string; state: string }>('select kind, state from account where n = $1', [
            account,
          ])
    if (account === undefined || sender?.kind !== 'system' || sender.state !== 'active') {
      throw new WochatError('not_a_system_account')
    }
    // The content is checked like that of any message.
    const marks = checkBody(type, body)
    const bodyJson = JSON.stringify(body)
    const known = await tx.first<Row>('select * from broadcast where id = $1', [id])
    if (known !== undefined) {
      const isSame = known.account === account && known.type === type && known.body === bodyJson
      if (!isSame || known.filter !== JSON.stringify(filter)) throw new WochatError('id_conflict')
      return describe(tx, known)
    }
    if (marks !== null) await assertSendable(tx, account, marks)
    const running = await tx.query(`select id from broadcast where state = 'running' limit $1`, [
      BROADCASTS_RUNNING_MAX,
    ])
    if (running.length >= BROADCASTS_RUNNING_MAX) throw new WochatError('too_many_broadcasts')
    const newest = await tx.first<{ last: number }>('select max(n) as last from account')
    const made = await tx.first<Row>(
      `insert into broadcast (id, account, type, body, filter, state, reached, last, sent, made_at)
       values ($1, $2, $3, $4, $5, 'running', 0, $6, 0, $7) on conflict (id) do nothing returning *`,
      [id, account, type, bodyJson, JSON.stringify(filter), newest!.last, tx.now],
    )
    if (made === undefined) throw new WochatError('id_conflict')
    return describe(tx, made)
  },

  async broadcasts(tx) {
    const rows = await tx.query<Row>(
      `select * from broadcast order by case when state = 'running' then 0 else 1 end, made_at desc, id limit $1`,
      [BROADCASTS_LISTED_MAX],
    )
    const broadcasts: BroadcastRow[] = []
    for (const row of rows) broadcasts.push(await describe(tx, row))
    return { broadcasts }
  },

  async stopBroadcast(tx, { id }) {
    await tx.query(
      `update broadcast set state = 'stopped', ended_at = $2 where id = $1 and state = 'running'`,
      [id, tx.now],
    )
    const row = await tx.first<Row>('select * from broadcast where id = $1', [id])
    if (row === undefined) throw new WochatError('unknown_broadcast')
    return describe(tx, row)
  },
}

/** What every single send would be refused for. */
async function assertSendable(tx: Transaction, account: number, marks: SendMarks): Promise<void> {
  if (marks.replyTo !== undefined) {
    throw new WochatError('bad_request', 'body.replyTo: a broadcast goes to many conversations')
  }
  const files = marks.media ?? []
  if (files.length === 0) return
  const usable = await tx.query(
    `select id from media where id in ${tx.list('$1', 'text')} and state = 'ready' and retired_at is null
       and (account = $2 or exists (
         select 1 from media_use join membership on membership.log = media_use.log
           join entry on entry.log = media_use.log and entry.seq = media_use.seq
         where media_use.media = media.id and membership.account = $2 and media_use.seq >= membership.from_seq
           and coalesce(membership.to_seq, media_use.seq) >= media_use.seq and ${sawContent(tx, '$2', 'entry')}))`,
    [files, account],
  )
  if (usable.length < files.length) throw new WochatError('unknown_media')
}

async function describe(tx: Transaction, row: Row): Promise<BroadcastRow> {
  return {
    id: row.id,
    from: await tx.uidOf(row.account),
    type: row.type,
    state: row.state,
    sent: row.sent,
    skipped: row.skipped,
    madeAt: row.made_at,
    endedAt: row.ended_at,
  }
}

// ---------------------------------------------------------------- sending

type Holder = { id: string; node: string; leaseMs: number }

/** The next accounts of a broadcast; with them, everybody up to `through` has it. */
export type BroadcastPage = {
  from: UserId
  type: string
  bodyJson: string
  to: { account: number; uid: UserId }[]
  through: number
}

/** Whether a broadcast is not over. */
export const BROADCASTS_WAIT = `(select min(made_at) from broadcast where state = 'running') is not null`

export const broadcastTasks = {
  /** Takes the running broadcasts that no node has; answers their ids. */
  async leaseBroadcasts(
    tx: Transaction,
    { node, isAlone, leaseMs }: { node: string; isAlone: boolean; leaseMs: number },
  ): Promise<string[]> {
    const rows = await tx.query<{ id: string }>(
      `update broadcast set lease_by = $1, lease_until = $2
       where state = 'running' and (lease_by is null or lease_until < $3 or ($4 = 1 and lease_by <> $1))
       returning id`,
      [node, tx.now + leaseMs, tx.now, isAlone ? 1 : 0],
    )
    return rows.map(({ id }) => id)
  },

  /** The next page of a broadcast that the node has; null when it has it no more, or it is over. */
  async pageBroadcast(
    tx: Transaction,
    { id, node, leaseMs, limit }: Holder & { limit: number },
  ): Promise<BroadcastPage | null> {
    const row = await tx.first<Row>(
      `update broadcast set lease_until = $3 where id = $1 and lease_by = $2 and state = 'running' returning *`,
      [id, node, tx.now + leaseMs],
    )
    if (row === undefined) return null
    // By how many there are: the numbers of accounts have gaps.
    const looked = await tx.first<{ count: number; through: number }>(
      `select count(*) as count, max(n) as through
       from (select n from account where n > $1 and n <= $2 order by n limit $3) as next`,
      [row.reached, row.last, SCANNED_TOGETHER],
    )
    const scanned = looked!.count < SCANNED_TOGETHER ? row.last : looked!.through
    const filter = JSON.parse(row.filter) as BroadcastFilter
    const to = await tx.query<{ account: number; uid: UserId }>(
      `select n as account, uid from account
       where n > $1 and n <= $2 and state = 'active' and kind = $3 and n <> $4
         and created_at >= $5 and created_at <= $6
         ${filter.uids === undefined ? '' : `and uid in ${tx.list('$8', 'text')}`}
       order by n limit $7`,
      [
        row.reached,
        scanned,
        filter.kind ?? 'person',
        row.account,
        filter.registeredAfter ?? 0,
        filter.registeredBefore ?? Number.MAX_SAFE_INTEGER,
        limit,
        ...(filter.uids === undefined ? [] : [filter.uids]),
      ],
    )
    const through = to.length < limit ? scanned : to.at(-1)!.account
    return { from: await tx.uidOf(row.account), type: row.type, bodyJson: row.body, to, through }
  },

  /** Writes how far a broadcast is; the last page ends it. */
  async advanceBroadcast(
    tx: Transaction,
    input: Holder & { through: number; sent: number; skipped: number },
  ): Promise<void> {
    const { id, node, leaseMs, through, sent, skipped } = input
    await tx.query(
      `update broadcast set reached = $3, sent = sent + $4, skipped = skipped + $5, lease_until = $6,
         state = case when state = 'running' and $3 >= last then 'done' else state end,
         ended_at = case when state = 'running' and $3 >= last then $7 else ended_at end
       where id = $1 and lease_by = $2 and reached < $3`,
      [id, node, through, sent, skipped, tx.now + leaseMs, tx.now],
    )
  },

  /** Gives a broadcast back, so that another node need not wait for the end of the lease. */
  async releaseBroadcast(tx: Transaction, { id, node }: { id: string; node: string }): Promise<void> {
    await tx.query('update broadcast set lease_by = null, lease_until = 0 where id = $1 and lease_by = $2', [
      id,
      node,
    ])
  },
} as const
