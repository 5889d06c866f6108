/** Accounts, their devices, login codes and logins. */
import { timingSafeEqual } from 'node:crypto'
import { WochatError } from '../../../protocol/errors.ts'
import { buildClientId, type DeviceId, type UserId } from '../../../protocol/ids.ts'
import type { AccountStore, LoginDevice } from '../contract.ts'
import {
  type AccountState,
  assertNotSuspended,
  judgeToken,
  resumeAccount,
} from '../operations/people/account-state.ts'
import { endDeviceSession } from './device-session.ts'
import type { Operations } from './operations.ts'
import { SqliteTransaction } from './transaction.ts'
import type { Work } from './work.ts'

/** Logins of one device that stand side by side; a further one ends the oldest. */
const LOGINS_PER_DEVICE_MAX = 5
/** Rows of revoked devices kept per account, the newest ones; they refuse tokens that have no login of ours. */
const REVOKED_DEVICES_MAX = 1000
/** At the cap on devices, one that nobody can use any more and that was not seen for this long makes room. */
const DEVICE_IDLE_MAX_MS = 90 * 24 * 60 * 60 * 1000

type CodeRow = { hash: string; expires_at: number; tries: number }
type LoginRow = {
  account: number
  device: DeviceId
  refresh_hash: string
  expires_at: number
  ended_at: number | null
}

export const accountOperations: Operations<AccountStore> = {
  recordCode(work, { phone, codeHash, expiresAt, address, perPhoneMax, perAddressMax, windowMs }) {
    sweepCodes(work, windowMs)
    const counters = [openCounter(work, `p:${phone}`, windowMs), openCounter(work, `a:${address}`, windowMs)]
    const retryAfterMs = Math.max(
      ...[perPhoneMax, perAddressMax].map((max, i) => waitOf(work, counters[i]!, max, windowMs)),
    )
    if (retryAfterMs > 0) return { taken: false, retryAfterMs }
    for (const counter of counters) raiseCounter(work, counter)
    work.db
      .prepare('insert or replace into sms_code (phone, hash, expires_at, tries) values (?, ?, ?, 0)')
      .run(phone, codeHash, expiresAt)
    return { taken: true }
  },

  async login(work, input) {
    if (!takeTry(work, input)) return { refused: 'bad_code' }
    const { account, uid } = accountOfPhone(work, input)
    assertNotSuspended(stateOf(work, account), work.now)
    activateDevice(work, { account, device: input.device, devicesMax: input.devicesMax })
    work.db.prepare('delete from sms_code where phone = ?').run(input.phone)
    trimLogins(work, account, uid, input.device.id)
    work.db
      .prepare(
        `insert into login (sid, account, device, refresh_hash, created_at, expires_at)
         values (?, ?, ?, ?, ?, ?)`,
      )
      .run(input.sid, account, input.device.id, input.refreshHash, work.now, input.refreshExpiresAt)
    if (stateOf(work, account).state === 'deactivated') {
      await resumeAccount(new SqliteTransaction(work), { account, uid })
    }
    return { uid }
  },

  refresh(work, { sid, refreshHash, nextHash, nextExpiresAt }) {
    const login = findLogin(work, sid)
    if (login === undefined || login.ended_at !== null || login.expires_at <= work.now) {
      throw new WochatError('bad_refresh')
    }
    const { account, device } = login
    const uid = work.accounts.uidOf(account)
    if (!equalHashes(login.refresh_hash, refreshHash)) {
      // Two hold tokens of this login, and one of them stole it. The queue stays: whoever logs in again owns it.
      markEnded(work, { sid, uid, device })
      return { refused: 'refresh_reused' }
    }
    assertNotSuspended(stateOf(work, account), work.now)
    work.db
      .prepare('update login set refresh_hash = ?, expires_at = ? where sid = ?')
      .run(nextHash, nextExpiresAt, sid)
    return { uid, device }
  },

  endLogin(work, { uid, sid }) {
    const login = findLogin(work, sid)
    if (login === undefined || login.ended_at !== null) return
    if (work.accounts.uidOf(login.account) !== uid) return
    markEnded(work, { sid, uid, device: login.device })
    endDeviceSession(work, buildClientId(uid, login.device))
    forgetDevice(work, login.account, login.device)
  },

  devices(work, uid) {
    return work.db
      .prepare(
        `select device.id, device.kind, device.name, device.created_at as createdAt, device.seen_at as seenAt
         from device join account on account.n = device.account
         where account.uid = ? and ${ACTIVE_DEVICE} order by device.seen_at desc, device.id`,
      )
      .all(uid) as ReturnType<Operations<AccountStore>['devices']>
  },

  revokeDevice(work, { uid, device }) {
    const account = work.accounts.find(uid)
    if (account === undefined) return
    // A token may name a device that was never seen; its row must be there to refuse it.
    work.db
      .prepare(
        `insert into device (account, id, kind, name, created_at, seen_at, revoked_at) values (?, ?, '', '', ?, ?, ?)
         on conflict (account, id) do update set revoked_at = excluded.revoked_at, seen_at = min(seen_at, excluded.seen_at)`,
      )
      .run(account, device, work.now, work.now, work.now)
    work.db
      .prepare('update login set ended_at = ? where account = ? and device = ? and ended_at is null')
      .run(work.now, account, device)
    endDeviceSession(work, buildClientId(uid, device))
    trimRevokedDevices(work, account)
    work.feed.push({ kind: 'loginEnded', uid, device, sid: null })
  },

  async checkLogin(work, { uid, device, sid, issuedAt }) {
    const account = work.accounts.ensure(uid, work.now)
    if (judgeLogin(work, { account, device, sid, issuedAt }) === 'resumes') {
      await resumeAccount(new SqliteTransaction(work), { account, uid })
    }
  },
}

type StateRow = { state: AccountState; state_at: number | null; suspended_until: number | null }

function stateOf(work: Work, account: number): StateRow {
  return work.db
    .prepare('select state, state_at, suspended_until from account where n = ?')
    .get(account) as StateRow
}

/**
 * Whether the login of a verified token still stands; throws `revoked`, or `account_suspended`. One that `resumes` takes its account, which
 * rests, up again: the caller does it when nothing can be refused any more. A token of a login (`sid`) stands until that
 * is ended; one without stands unless its device was revoked in or after the second in which it was issued
 * (`issuedAt` is in ms, but comes from whole seconds [RFC 7519 section 4.1.6]).
 */
export function judgeLogin(
  work: Work,
  token: { account: number; device: DeviceId | null; sid: string | null; issuedAt: number },
): 'stands' | 'resumes' {
  const state = stateOf(work, token.account)
  const verdict = judgeToken(state, token)
  assertNotEnded(work, token)
  assertNotSuspended(state, work.now)
  return verdict
}

function assertNotEnded(
  work: Work,
  { account, device, sid, issuedAt }: Parameters<typeof judgeLogin>[1],
): void {
  if (sid !== null) {
    const login = findLogin(work, sid)
    const stands =
      login !== undefined &&
      login.ended_at === null &&
      login.account === account &&
      (device === null || login.device === device)
    if (!stands) throw new WochatError('revoked')
    return
  }
  if (device === null) return
  const row = work.db
    .prepare('select revoked_at from device where account = ? and id = ?')
    .get(account, device) as { revoked_at: number | null } | undefined
  const revokedAt = row?.revoked_at ?? null
  if (revokedAt !== null && Math.floor(revokedAt / 1000) * 1000 >= issuedAt) throw new WochatError('revoked')
}

// ---------------------------------------------------------------- codes

type Counter = { key: string; windowAt: number; count: number }

function openCounter(work: Work, key: string, windowMs: number): Counter {
  const row = work.db.prepare('select window_at, count from sms_count where key = ?').get(key) as
    | { window_at: number; count: number }
    | undefined
  const open = row !== undefined && row.window_at > work.now - windowMs
  return open ? { key, windowAt: row.window_at, count: row.count } : { key, windowAt: work.now, count: 0 }
}

function waitOf(work: Work, counter: Counter, max: number, windowMs: number): number {
  return counter.count < max ? 0 : counter.windowAt + windowMs - work.now
}

function raiseCounter(work: Work, { key, windowAt, count }: Counter): void {
  work.db
    .prepare('insert or replace into sms_count (key, window_at, count) values (?, ?, ?)')
    .run(key, windowAt, count + 1)
}

const sweptAt = new WeakMap<Work, number>()

/** Forgets codes and counts whose time is over, once per window: a sweep reads both tables whole. */
function sweepCodes(work: Work, windowMs: number): void {
  const last = sweptAt.get(work)
  if (last !== undefined && last > work.now - windowMs) return
  sweptAt.set(work, work.now)
  work.db.prepare('delete from sms_count where window_at <= ?').run(work.now - windowMs)
  work.db.prepare('delete from sms_code where expires_at <= ?').run(work.now)
}

/** Whether the code is right. A wrong one counts; the right one stays until the login that it opens is written. */
function takeTry(work: Work, input: { phone: string; codeHash: string; triesMax: number }): boolean {
  const row = work.db
    .prepare('select hash, expires_at, tries from sms_code where phone = ?')
    .get(input.phone) as CodeRow | undefined
  if (row === undefined || row.expires_at <= work.now || row.tries >= input.triesMax) return false
  if (equalHashes(row.hash, input.codeHash)) return true
  work.db.prepare('update sms_code set tries = tries + 1 where phone = ?').run(input.phone)
  return false
}

function equalHashes(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

function accountOfPhone(
  work: Work,
  input: { phone: string; uid: UserId | null; newUid: UserId },
): { account: number; uid: UserId } {
  const row = work.db.prepare('select n, uid from account where phone = ?').get(input.phone) as
    | { n: number; uid: UserId }
    | undefined
  if (row !== undefined) {
    if (input.uid !== null && input.uid !== row.uid) throw new WochatError('uid_fixed')
    return { account: row.n, uid: row.uid }
  }
  const uid = input.uid ?? input.newUid
  if (work.accounts.find(uid) !== undefined) throw new WochatError('uid_taken')
  return { account: work.accounts.create(uid, input.phone, work.now), uid }
}

// ---------------------------------------------------------------- logins

function findLogin(work: Work, sid: string): LoginRow | undefined {
  return work.db
    .prepare('select account, device, refresh_hash, expires_at, ended_at from login where sid = ?')
    .get(sid) as LoginRow | undefined
}

function markEnded(work: Work, { sid, uid, device }: { sid: string; uid: UserId; device: DeviceId }): void {
  work.db.prepare('update login set ended_at = ? where sid = ?').run(work.now, sid)
  work.feed.push({ kind: 'loginEnded', uid, device, sid })
}

/** Leaves room for one more login of a device: those that are over go, then the oldest. */
function trimLogins(work: Work, account: number, uid: UserId, device: DeviceId): void {
  work.db
    .prepare(
      'delete from login where account = ? and device = ? and (ended_at is not null or expires_at <= ?)',
    )
    .run(account, device, work.now)
  const surplus = work.db
    .prepare(
      `select sid from login where account = ? and device = ?
       order by created_at desc, rowid desc limit -1 offset ?`,
    )
    .all(account, device, LOGINS_PER_DEVICE_MAX - 1) as { sid: string }[]
  for (const { sid } of surplus) markEnded(work, { sid, uid, device })
}

// ---------------------------------------------------------------- devices

/** A device that was revoked counts again from its next login or connect on. */
const ACTIVE_DEVICE = '(revoked_at is null or seen_at > revoked_at)'

/** Writes the device of a new login; throws `too_many_devices`. */
function activateDevice(
  work: Work,
  input: { account: number; device: LoginDevice; devicesMax: number },
): void {
  const { account, device, devicesMax } = input
  const active = work.db
    .prepare(`select 1 from device where account = ? and id = ? and ${ACTIVE_DEVICE}`)
    .get(account, device.id)
  if (active === undefined) leaveRoomForDevice(work, account, devicesMax)
  work.db
    .prepare(
      `insert into device (account, id, kind, name, created_at, seen_at) values (?, ?, ?, ?, ?, ?)
       on conflict (account, id) do update set
         kind = excluded.kind, name = excluded.name,
         created_at = case when ${ACTIVE_DEVICE} then created_at else excluded.created_at end,
         seen_at = max(excluded.seen_at, coalesce(revoked_at + 1, 0))`,
    )
    .run(account, device.id, device.kind, device.name, work.now, work.now)
}

function leaveRoomForDevice(work: Work, account: number, devicesMax: number): void {
  if (countDevices(work, account) < devicesMax) return
  work.db
    .prepare(
      `delete from device where account = ? and revoked_at is null and seen_at < ? and not exists (
         select 1 from login where login.account = device.account and login.device = device.id
           and ended_at is null and expires_at > ?)`,
    )
    .run(account, work.now - DEVICE_IDLE_MAX_MS, work.now)
  if (countDevices(work, account) >= devicesMax) throw new WochatError('too_many_devices')
}

function countDevices(work: Work, account: number): number {
  const { count } = work.db
    .prepare(`select count(*) as count from device where account = ? and ${ACTIVE_DEVICE}`)
    .get(account) as { count: number }
  return count
}

/** After a logout the device is no longer the account's, unless another login of it stands. What refuses tokens stays. */
function forgetDevice(work: Work, account: number, device: DeviceId): void {
  const other = work.db
    .prepare('select 1 from login where account = ? and device = ? and ended_at is null and expires_at > ?')
    .get(account, device, work.now)
  if (other !== undefined) return
  work.db
    .prepare('update device set seen_at = revoked_at where account = ? and id = ? and revoked_at is not null')
    .run(account, device)
  work.db
    .prepare('delete from device where account = ? and id = ? and revoked_at is null')
    .run(account, device)
}

function trimRevokedDevices(work: Work, account: number): void {
  work.db
    .prepare(
      `delete from device where account = ?1 and id in (
         select id from device where account = ?1 and not ${ACTIVE_DEVICE}
         order by revoked_at desc limit -1 offset ?2)`,
    )
    .run(account, REVOKED_DEVICES_MAX)
}
