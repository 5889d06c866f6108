/**
 * Messages that are sent later. A node that sends one has it for itself for a while; when that node dies, another one
 * sends it again under its id, which makes one entry.
 */
import { type ErrorBody, WochatError } from '../../../../protocol/errors.ts'
import { buildNoticeLog, type DeviceId, type LogId, type UserId } from '../../../../protocol/ids.ts'
import { LIST_ITEMS_DEFAULT, SCHEDULE_AHEAD_MS_MAX, SCHEDULED_MAX } from '../../../../protocol/limits.ts'
import { isSameBody } from '../../body-hash.ts'
import type { Caller } from '../../contract.ts'
import type { StoredOperations } from '../stored.ts'
import type { Transaction } from '../transaction.ts'

/** A message that was checked and screened when it was scheduled; it is screened again when it is sent. */
export type ScheduledSend = {
  caller: Caller
  id: string
  log: LogId
  type: string
  bodyJson: string
  withheld: boolean
  /** Of the body that was sent, where screening has replaced it. */
  sentHash?: string
  at: number
  /** Screening refuses it: only one that is scheduled already stays. */
  refusal?: ErrorBody
}

export type DueSend = {
  n: number
  uid: UserId
  device: DeviceId | null
  id: string
  log: LogId
  type: string
  bodyJson: string
  withheld: boolean
  sentHash: string | null
  /** Why the author may not write any more, whatever the message is. */
  refusal: 'account_inactive' | 'account_suspended' | null
}

/** Longer than a send takes, also one that waits for a database which is away. */
const LEASE_MS = 60_000

export const scheduledOperations: StoredOperations<'messages.scheduled' | 'messages.unschedule'> = {
  async 'messages.scheduled'(tx, { caller, limit = LIST_ITEMS_DEFAULT, cursor = '0.0' }) {
    const account = await tx.findAccount(caller.uid)
    if (account === undefined) return { items: [] }
    const [at, n] = cursor.split('.').map(Number) as [number, number]
    const rows = await tx.query<ScheduledRow>(
      `select n, id, target, type, body, due_at from scheduled_send
       where account = $1 and (due_at, n) > ($2, $3) order by due_at, n limit $4`,
      [account, at, n, limit + 1],
    )
    const page = rows.slice(0, limit)
    const last = page.at(-1)
    return {
      items: page.map((row) => ({
        id: row.id,
        to: row.target,
        type: row.type,
        body: JSON.parse(row.body) as unknown,
        at: row.due_at,
      })),
      ...(rows.length > limit && last !== undefined && { cursor: `${last.due_at}.${last.n}` }),
    }
  },

  async 'messages.unschedule'(tx, { caller, id }) {
    const account = await tx.findAccount(caller.uid)
    const [gone] =
      account === undefined
        ? []
        : await tx.query('delete from scheduled_send where account = $1 and id = $2 returning n', [
            account,
            id,
          ])
    if (gone === undefined) throw new WochatError('unknown_schedule')
    return {}
  },
}

type KnownSend = { target: string; type: string; bodyJson: string; sentHash: string | null; due_at: number }

type ScheduledRow = { n: number; id: string; target: string; type: string; body: string; due_at: number }

/** Whether a message is to be sent at `$1` that nobody sends. */
export const SCHEDULED_WAIT = `(
  select min(due_at) from scheduled_send where due_at <= $1 and lease_until <= $1) is not null`

export const scheduledTasks = {
  /** Schedules a message; the same one under the same id is scheduled once. */
  async scheduleSend(tx: Transaction, send: ScheduledSend): Promise<void> {
    const { caller, id, log, type, bodyJson, withheld, sentHash = null, at, refusal } = send
    if (at <= tx.now || at > tx.now + SCHEDULE_AHEAD_MS_MAX) {
      throw new WochatError('bad_request', 'at: not between now and a year from now')
    }
    const account = await tx.ensureAccount(caller.uid)
    await tx.lockAccounts([account])
    const known = await tx.first<KnownSend>(
      `select target, type, body as "bodyJson", sent_hash as "sentHash", due_at from scheduled_send
       where account = $1 and id = $2`,
      [account, id],
    )
    const isKnown = known?.target === log && known.type === type && known.due_at === at
    if (isKnown && isSameBody(known, { bodyJson, sentHash })) return
    if (refusal !== undefined) throw WochatError.fromWire(refusal)
    if (known !== undefined) throw new WochatError('id_conflict')
    const { count } = (await tx.first<{ count: number }>(
      'select count(*) as count from scheduled_send where account = $1',
      [account],
    ))!
    if (count >= SCHEDULED_MAX) throw new WochatError('too_many_scheduled')
    await tx.query(
      `insert into scheduled_send (account, device, id, target, type, body, due_at, made_at, withheld, sent_hash)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      [account, caller.device, id, log, type, bodyJson, at, tx.now, withheld ? 1 : 0, sentHash],
    )
  },

  /** Takes some of what is due for whoever asks, and for nobody else until the lease is over. */
  async takeDueSends(tx: Transaction, { limit }: { limit: number }): Promise<DueSend[]> {
    const rows = await tx.query<DueRow>(
      `update scheduled_send set lease_until = $2
       where n in (
           select n from scheduled_send where due_at <= $1 and lease_until <= $1 order by due_at limit $3
         ) and lease_until <= $1
       returning n, account, device, id, target, type, body, withheld, sent_hash`,
      [tx.now, tx.now + LEASE_MS, limit],
    )
    const due: DueSend[] = []
    for (const { account, target: log, body: bodyJson, withheld, sent_hash: sentHash, ...row } of rows) {
      const { uid, ...author } = (await tx.first<Author>(
        'select uid, state, suspended_until from account where n = $1',
        [account],
      ))!
      const refusal = refusalOf(author, tx.now)
      due.push({ ...row, uid, log, bodyJson, withheld: withheld === 1, sentHash, refusal })
    }
    return due.sort((a, b) => a.n - b.n)
  },

  /** A scheduled message was sent, or refused for good, which its author is told of. */
  async settleSend(tx: Transaction, { n, refusal }: { n: number; refusal: string | null }): Promise<void> {
    const [row] = await tx.query<{ account: number; id: string; target: string; due_at: number }>(
      'delete from scheduled_send where n = $1 returning account, id, target, due_at',
      [n],
    )
    if (row === undefined || refusal === null) return
    const uid = await tx.uidOf(row.account)
    await tx.append(buildNoticeLog(uid), {
      kind: 'notice',
      uid,
      device: null,
      type: 'schedule_failed',
      body: { id: row.id, to: row.target, at: row.due_at, code: refusal },
    })
  },
}

type Author = { uid: UserId; state: string; suspended_until: number | null }

function refusalOf({ state, suspended_until: until }: Omit<Author, 'uid'>, now: number): DueSend['refusal'] {
  if (state !== 'active') return 'account_inactive'
  return (until ?? 0) > now ? 'account_suspended' : null
}

type DueRow = {
  n: number
  account: number
  device: DeviceId | null
  id: string
  target: LogId
  type: string
  body: string
  withheld: number
  sent_hash: string | null
}
