/**
 * Webhooks: their rows for operators, and what the one node that delivers for each of them asks of the store. A node has
 * a webhook by a lease, and writes how far it is only while it has it and nobody moved it meanwhile.
 */
import { randomBytes } from 'node:crypto'
import { WEBHOOKS_MAX, type WebhookRow } from '../../../../protocol/admin/webhooks.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import { EVENT_TYPES } from '../../../../protocol/events.ts'
import type { Transaction } from '../transaction.ts'
import {
  forgetEvents,
  forgetLettersOf,
  isWanted,
  lastSeq,
  lockOrder,
  orderEvents,
  sourcesOf,
} from './events.ts'
import type { OperatorOperations } from './operator.ts'

/** Of a secret that is made here. */
const SECRET_BYTES = 32
const DEAD_LETTERS_PAGE = 100
/** Events whose types are looked at to find those that a webhook wants. */
const SCANNED_TOGETHER = 1000
/** Dead letters that are tried again by one call. */
const RETRIED_MAX = 10_000

type Row = {
  n: number
  id: string
  url: string
  secret: string
  events: string
  acked: number
  attempts: number
  next_at: number
  last_error: string | null
  paused: number
  made_at: number
}

export const webhookOperations: OperatorOperations<
  | 'webhooks'
  | 'addWebhook'
  | 'updateWebhook'
  | 'removeWebhook'
  | 'pauseWebhook'
  | 'resumeWebhook'
  | 'replayWebhook'
  | 'deadLetters'
  | 'retryDeadLetters'
> = {
  async webhooks(tx) {
    const head = await orderEvents(tx)
    const rows = await tx.query<Row & { letters: number }>(
      `select webhook.*, (select count(*) from dead_letter where webhook = webhook.n) as letters
       from webhook where id is not null order by id limit $1`,
      [WEBHOOKS_MAX],
    )
    return { head, webhooks: rows.map((row) => describe(row, head)) }
  },

  async addWebhook(tx, { id, url, events, secret = createSecret() }) {
    assertKnown(events)
    await lockOrder(tx)
    const rows = await tx.query<{ id: string }>('select id from webhook where id is not null limit $1', [
      WEBHOOKS_MAX,
    ])
    if (rows.some((row) => row.id === id))
      throw new WochatError('id_conflict', 'there is a webhook of this id')
    if (rows.length >= WEBHOOKS_MAX) throw new WochatError('too_many_webhooks')
    const acked = await orderEvents(tx)
    await tx.query(
      `insert into webhook (id, url, secret, events, acked, attempts, next_at, paused, made_at)
       values ($1, $2, $3, $4, $5, 0, 0, 0, $6)`,
      [id, url, secret, JSON.stringify(events), acked, tx.now],
    )
    await watchWanted(tx)
    return { id, secret, acked }
  },

  async updateWebhook(tx, { id, url, events, secret }) {
    if (events !== undefined) assertKnown(events)
    await lockOrder(tx)
    await changeWebhook(
      tx,
      id,
      'url = coalesce($2, url), events = coalesce($3, events), secret = coalesce($4, secret)',
      [url ?? null, events === undefined ? null : JSON.stringify(events), secret ?? null],
    )
    if (events !== undefined) await watchWanted(tx)
    return { id }
  },

  /** At once it is over, and another one may have its id; its dead letters go in steps ({@link forgetEvents}). */
  async removeWebhook(tx, { id }) {
    await lockOrder(tx)
    const n = await findWebhook(tx, id)
    await tx.query(
      `update webhook set id = null, url = '', secret = '', events = '[]', paused = 1, lease_by = null where n = $1`,
      [n],
    )
    await forgetLettersOf(tx, n)
    await watchWanted(tx)
    return { id }
  },

  async pauseWebhook(tx, { id }) {
    await changeWebhook(tx, id, 'paused = 1')
    return { id }
  },

  async resumeWebhook(tx, { id }) {
    await changeWebhook(tx, id, 'paused = 0, attempts = 0, next_at = 0')
    return { id }
  },

  async replayWebhook(tx, { id, from }) {
    const oldest = await tx.first<{ seq: number }>(
      'select seq from event where seq is not null order by seq limit 1',
    )
    const begin = Math.min(Math.max(from, oldest?.seq ?? 1), (await lastSeq(tx)) + 1)
    await changeWebhook(tx, id, 'acked = $2, attempts = 0, next_at = 0', [begin - 1])
    return { id, from: begin }
  },

  async deadLetters(tx, { id, cursor = 0, limit = DEAD_LETTERS_PAGE }) {
    const n = await findWebhook(tx, id)
    const rows = await tx.query<{
      seq: number
      type: string
      event_at: number
      at: number
      attempts: number
      error: string
    }>(
      `select seq, type, event_at, at, attempts, error from dead_letter
       where webhook = $1 and seq > $2 order by seq limit $3`,
      [n, cursor, limit + 1],
    )
    const items = rows.slice(0, limit).map(({ event_at: eventAt, ...row }) => ({ ...row, eventAt }))
    return { items, ...(rows.length > limit && { cursor: items.at(-1)!.seq }) }
  },

  async retryDeadLetters(tx, { id }) {
    const n = await findWebhook(tx, id)
    const letters = await tx.query(
      `update dead_letter set retry = 1 where webhook = $1 and seq in (
         select seq from dead_letter where webhook = $1 order by seq limit $2
       ) returning seq`,
      [n, RETRIED_MAX],
    )
    return { letters: letters.length }
  },
}

function describe(row: Row & { letters: number }, head: number): WebhookRow {
  return {
    id: row.id,
    url: row.url,
    events: JSON.parse(row.events) as string[],
    paused: row.paused === 1,
    acked: row.acked,
    lag: Math.max(0, head - row.acked),
    attempts: row.attempts,
    nextAt: row.attempts > 0 ? row.next_at : null,
    lastError: row.last_error,
    deadLetters: row.letters,
    madeAt: row.made_at,
  }
}

/** A misspelt type would be waited for for ever. */
function assertKnown(patterns: readonly string[]): void {
  const unknown = patterns.find((pattern) => !EVENT_TYPES.some((type) => isWanted(type, [pattern])))
  if (unknown !== undefined) throw new WochatError('bad_request', `events: there is no ${unknown}`)
}

function createSecret(): string {
  return `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`
}

/** `values` are `$2`... of the change. */
async function changeWebhook(
  tx: Transaction,
  id: string,
  change: string,
  values: readonly (string | number | null)[] = [],
): Promise<void> {
  const rows = await tx.query(`update webhook set ${change} where id = $1 returning id`, [id, ...values])
  if (rows.length === 0) throw new WochatError('unknown_webhook')
}

/** The number of a webhook, which its dead letters have. */
async function findWebhook(tx: Transaction, id: string): Promise<number> {
  const row = await tx.first<{ n: number }>('select n from webhook where id = $1', [id])
  if (row === undefined) throw new WochatError('unknown_webhook')
  return row.n
}

/** Call it under the lock of the order, when webhooks have changed. */
async function watchWanted(tx: Transaction): Promise<void> {
  const rows = await tx.query<{ events: string }>(
    'select events from webhook where id is not null limit $1',
    [WEBHOOKS_MAX],
  )
  await tx.watchSources(sourcesOf(rows.flatMap(({ events }) => JSON.parse(events) as string[])))
}

// ---------------------------------------------------------------- delivering

/** A node that has webhooks for itself, for so long from its last word on. */
type Holder = { node: string; leaseMs: number }

export type DeliveredEvent = { seq: number; at: number; type: string; body: string }

/** The next events of a webhook, all to be posted at once. */
export type Delivery = {
  url: string
  secret: string
  events: DeliveredEvent[]
  /** Failed attempts before this one. */
  attempts: number
  /** Dead letters that are tried once more. */
  isRetry: boolean
  /** Where the webhook stands, and where it does when these are taken. */
  after: number
  through: number
}

export type DeliveryOutcome =
  | { kind: 'taken' }
  | { kind: 'failed'; error: string; retryInMs: number }
  /** After the last attempt: the events become dead letters, or the webhook waits for its operator. */
  | { kind: 'givenUp'; error: string; pause: boolean }

/** Whether there may be something for a webhook at `$1`. */
export const WEBHOOKS_WAIT = `exists (
  select 1 from webhook, event_order
  where webhook.paused = 0 and webhook.next_at <= $1 and (
    webhook.acked < event_order.last
    or (select min(n) from event where seq is null) is not null
    or exists (select 1 from dead_letter where webhook = webhook.n and retry = 1)
  ))`

export const webhookTasks = {
  /** At a start: what webhooks want is written down, also where the store was moved or its triggers are those of an earlier version. */
  async watchEvents(tx: Transaction, _: object): Promise<void> {
    await lockOrder(tx)
    await watchWanted(tx)
  },

  /** Takes the webhooks that have something to be delivered now, and that no other node has; answers their ids. */
  async leaseWebhooks(
    tx: Transaction,
    { node, isAlone, leaseMs }: Holder & { isAlone: boolean },
  ): Promise<string[]> {
    const last = await orderEvents(tx)
    const rows = await tx.query<{ id: string }>(
      `update webhook set lease_by = $1, lease_until = $2
       where paused = 0 and next_at <= $3 and (lease_by is null or lease_until < $3 or ($5 = 1 and lease_by <> $1))
         and (acked < $4 or exists (select 1 from dead_letter where webhook = webhook.n and retry = 1))
       returning id`,
      [node, tx.now + leaseMs, tx.now, last, isAlone ? 1 : 0],
    )
    return rows.map(({ id }) => id)
  },

  /** The next events of a webhook that the node has; null when there are none, or it has it no more. */
  async takeDelivery(
    tx: Transaction,
    { id, node, leaseMs, eventsMax, charsMax }: Holder & { id: string; eventsMax: number; charsMax: number },
  ): Promise<Delivery | null> {
    const last = await orderEvents(tx)
    const row = await tx.first<Row>(
      `update webhook set lease_until = $3 where id = $1 and lease_by = $2 and paused = 0 and next_at <= $4
       returning *`,
      [id, node, tx.now + leaseMs, tx.now],
    )
    if (row === undefined) return null
    const { n, url, secret, attempts } = row
    const letters = await tx.query<DeliveredEvent>(
      `select seq, event_at as at, type, body from dead_letter
       where webhook = $1 and retry = 1 order by seq limit $2`,
      [n, eventsMax],
    )
    if (letters.length > 0) {
      return {
        url,
        secret,
        events: letters,
        attempts: 0,
        isRetry: true,
        after: row.acked,
        through: row.acked,
      }
    }
    const wanted = JSON.parse(row.events) as string[]
    for (let after = row.acked; after < last; ) {
      const found = await findWanted(tx, { after, wanted, eventsMax, charsMax })
      if (found.seqs.length > 0) {
        const events = await tx.query<DeliveredEvent>(
          `select seq, at, type, body from event where seq in ${tx.list('$1', 'number')} order by seq`,
          [found.seqs],
        )
        return { url, secret, events, attempts, isRetry: false, after: row.acked, through: found.through }
      }
      after = found.isAll ? last : found.through
      if (found.isAll) await tx.query('update webhook set acked = $2 where id = $1', [id, last])
    }
    return null
  },

  /** Writes how a delivery ended, unless the webhook was moved, paused or taken meanwhile. */
  async settleDelivery(
    tx: Transaction,
    input: Holder & {
      id: string
      delivery: Omit<Delivery, 'events'>
      seqs: number[]
      outcome: DeliveryOutcome
    },
  ): Promise<void> {
    const { id, node, leaseMs, delivery, seqs, outcome } = input
    const held = await tx.first<{ n: number; attempts: number }>(
      `update webhook set lease_until = $4 where id = $1 and lease_by = $2 and acked = $3 returning n, attempts`,
      [id, node, delivery.after, tx.now + leaseMs],
    )
    if (held === undefined) return
    if (delivery.isRetry) await settleRetry(tx, held.n, seqs, outcome)
    else if (outcome.kind === 'taken') await moveOn(tx, id, delivery.through, null)
    else if (outcome.kind === 'failed') {
      await changeWebhook(tx, id, 'attempts = attempts + 1, next_at = $2, last_error = $3', [
        tx.now + outcome.retryInMs,
        outcome.error,
      ])
    } else if (outcome.pause) {
      await changeWebhook(tx, id, 'attempts = attempts + 1, paused = 1, last_error = $2', [outcome.error])
    } else {
      await tx.query(
        `insert into dead_letter (webhook, seq, attempts, error, at, event_at, type, body)
         select cast($1 as bigint), seq, cast($3 as bigint), $4, cast($5 as bigint), at, type, body from event where seq in ${tx.list('$2', 'number')}
         on conflict (webhook, seq) do update set
           attempts = dead_letter.attempts + excluded.attempts, error = excluded.error, at = excluded.at`,
        [held.n, seqs, held.attempts + 1, outcome.error, tx.now],
      )
      await moveOn(tx, id, delivery.through, outcome.error)
    }
  },

  /** Gives webhooks back that the node has, so that another one need not wait for the end of its lease. */
  async releaseWebhooks(tx: Transaction, { node, ids }: { node: string; ids: string[] }): Promise<void> {
    await tx.query(
      `update webhook set lease_by = null, lease_until = 0 where lease_by = $1 and id in ${tx.list('$2', 'text')}`,
      [node, ids],
    )
  },

  forgetEvents,
} as const

async function moveOn(tx: Transaction, id: string, through: number, error: string | null): Promise<void> {
  await changeWebhook(tx, id, 'acked = $2, attempts = 0, next_at = 0, last_error = $3', [through, error])
}

async function settleRetry(
  tx: Transaction,
  n: number,
  seqs: number[],
  outcome: DeliveryOutcome,
): Promise<void> {
  const those = `webhook = $1 and seq in ${tx.list('$2', 'number')}`
  if (outcome.kind === 'taken') await tx.query(`delete from dead_letter where ${those}`, [n, seqs])
  else {
    await tx.query(`update dead_letter set retry = 0, attempts = attempts + 1, error = $3 where ${those}`, [
      n,
      seqs,
      outcome.error,
    ])
  }
}

type Search = { after: number; wanted: readonly string[]; eventsMax: number; charsMax: number }

/** The next events that are wanted, as many as one delivery takes; `through` is how far was looked. */
async function findWanted(
  tx: Transaction,
  { after, wanted, eventsMax, charsMax }: Search,
): Promise<{ seqs: number[]; through: number; isAll: boolean }> {
  const rows = await tx.query<{ seq: number; type: string; chars: number }>(
    'select seq, type, length(body) as chars from event where seq > $1 order by seq limit $2',
    [after, SCANNED_TOGETHER],
  )
  const seqs: number[] = []
  let chars = 0
  let through = after
  for (const row of rows) {
    if (isWanted(row.type, wanted)) {
      chars += row.chars
      if (seqs.length >= eventsMax || (seqs.length > 0 && chars > charsMax)) break
      seqs.push(row.seq)
    }
    through = row.seq
  }
  return { seqs, through, isAll: rows.length < SCANNED_TOGETHER && through === (rows.at(-1)?.seq ?? after) }
}
