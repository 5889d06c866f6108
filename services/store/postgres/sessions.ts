/** MQTT sessions: who holds one, and for how long it stays. Where its inbox stands is in inbox.ts. */
import { WochatError } from '../../../protocol/errors.ts'
import type { ClientId, DeviceId } from '../../../protocol/ids.ts'
import type { SessionStore } from '../contract.ts'
import { assertLoginStands, lockAccount } from './accounts.ts'
import { dropSessions, endDeviceSession, holdsSession } from './device-session.ts'
import { drain } from './drain.ts'
import { saveCursors, startInbox } from './inbox.ts'
import { cancelDelayedWill, endPlainSession, hasPlainSession } from './plain-session.ts'
import type { Operations, Work } from './work.ts'

/** `seen_at` of a device is written at most this often. */
export const SEEN_EVERY_MS = 60 * 60 * 1000
/** Sessions ended by one call. */
const EXPIRE_BATCH = 500
/** Sessions of dead nodes given an end by one statement. */
const ADOPT_BATCH = 5000

type SessionRow = {
  n: number
  generation: number
  inbox_qos: 0 | 1 | null
  reply: number
  live: number
  expires_at: number | null
}

const NOT_SUBSCRIBED = { inbox: null, reply: false, live: false }

export const sessionOperations: Operations<SessionStore> = {
  startInbox,
  drain,
  saveCursors,

  async openSession(work, input) {
    const { clientId, uid, device, cleanStart } = input
    const account = await work.ensureAccount(uid)
    await lockAccount(work, account)
    await assertLoginStands(work, { uid, account, device, sid: input.sid, issuedAt: input.issuedAt })
    await noteDevice(work, account, device, input.devicesMax)
    const found = await findSession(work, clientId)
    const isOver = found !== undefined && found.expires_at !== null && found.expires_at <= work.now
    // Also what no session row stands for: of a device that only came without one.
    if (cleanStart || isOver) await endDeviceSession(work, clientId)
    else await cancelDelayedWill(work, clientId)
    const stored = cleanStart || isOver ? undefined : found
    const plain = !cleanStart && (await hasPlainSession(work, clientId))
    if (stored !== undefined) return { ...(await takeOver(work, stored)), plain }
    const nothing = { present: plain, subscriptions: NOT_SUBSCRIBED, plain }
    if (!input.persistent) return { session: null, generation: 0, ...nothing }
    const [made] = await work.query<{ n: number }>(
      `insert into session
         (client_id, account, device, generation, inbox_qos, inbox_started, reply, live, expires_at, node)
       values ($1, $2, $3, 1, null, 0, 0, 0, null, $4) returning n`,
      [clientId, account, device, work.node],
    )
    return { session: made!.n, generation: 1, ...nothing }
  },

  async closeSession(work, { clientId, session, generation, expiresAt }) {
    if (!(await holdsSession(work, session, generation))) return
    if (expiresAt === null) await endDeviceSession(work, clientId)
    else await work.query('update session set expires_at = $2 where n = $1', [session, expiresAt])
  },

  async saveSubscriptions(work, { session, generation, subscriptions: { inbox, reply, live } }) {
    await work.query(
      'update session set inbox_qos = $3, reply = $4, live = $5 where n = $1 and generation = $2',
      [session, generation, inbox, reply ? 1 : 0, live ? 1 : 0],
    )
  },

  async expireSessions(work) {
    // What another node ends at this moment, or a device takes over, is left to them.
    const rows = await work.query<{ n: number; client_id: ClientId }>(
      `select n, client_id from session where expires_at <= $1 order by expires_at limit $2
       for update skip locked`,
      [work.now, EXPIRE_BATCH],
    )
    if (rows.length === 0) return []
    await dropSessions(
      work,
      rows.map((row) => row.n),
    )
    const ended = rows.map((row) => row.client_id)
    const withPlain = await work.query<{ client_id: ClientId }>(
      `select client_id from plain_session where client_id = any($1)
       union select client_id from plain_will where client_id = any($1) order by client_id`,
      [ended],
    )
    for (const { client_id } of withPlain) await endPlainSession(work, client_id)
    return ended
  },

  async adoptSessions(work, { expiresAt, except }) {
    for (;;) {
      // In parts, each short enough for a statement. One that a device takes over at this moment is left to it.
      const adopted = await work.query(
        `update session set expires_at = $1 where n in (
           select n from session where expires_at is null and node <> all($2::text[])
           order by n limit $3 for update skip locked) returning 1`,
        [expiresAt, except, ADOPT_BATCH],
      )
      if (adopted.length < ADOPT_BATCH) return
    }
  },
}

/** The stored session of a client, locked. */
async function findSession(work: Work, clientId: ClientId): Promise<SessionRow | undefined> {
  const [row] = await work.query<SessionRow>(
    `select n, generation, inbox_qos, reply, live, expires_at from session where client_id = $1 for update`,
    [clientId],
  )
  return row
}

async function takeOver(work: Work, { n, generation, inbox_qos, reply, live }: SessionRow) {
  await work.query(
    'update session set generation = generation + 1, expires_at = null, node = $2 where n = $1',
    [n, work.node],
  )
  const subscriptions = { inbox: inbox_qos, reply: reply === 1, live: live === 1 }
  return { session: n, generation: generation + 1, present: true, subscriptions }
}

/**
 * Keeps the list of an account's devices; the caller holds the account. A revoked device that comes back with a new
 * token is a new one. Throws `too_many_devices`.
 */
async function noteDevice(work: Work, account: number, device: DeviceId, devicesMax: number): Promise<void> {
  const [row] = await work.query<{ seen_at: number; revoked_at: number | null }>(
    'select seen_at, revoked_at from device where account = $1 and id = $2',
    [account, device],
  )
  const isListed = row !== undefined && (row.revoked_at === null || row.seen_at > row.revoked_at)
  if (isListed && row.seen_at > work.now - SEEN_EVERY_MS) return
  if (!isListed) await assertRoomForDevice(work, account, devicesMax)
  await work.query(
    `insert into device (account, id, kind, name, created_at, seen_at) values ($1, $2, '', '', $3, $3)
     on conflict (account, id) do update set seen_at = excluded.seen_at`,
    [account, device, work.now],
  )
}

async function assertRoomForDevice(work: Work, account: number, devicesMax: number): Promise<void> {
  const [row] = await work.query<{ count: number }>(
    `select count(*) as count from device
     where account = $1 and (revoked_at is null or seen_at > revoked_at)`,
    [account],
  )
  if (row!.count >= devicesMax) throw new WochatError('too_many_devices')
}
