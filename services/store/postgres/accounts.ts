/**
 * Accounts, their devices, login codes and logins.
 *
 * Nodes race here, so each call locks what it decides on, in one order: the code of a phone, then the account (its
 * devices and the number of its logins are bounded), then a login, then the session of a device.
 */
import { timingSafeEqual } from 'node:crypto'
import { WochatError } from '../../../protocol/errors.ts'
import { buildClientId, type DeviceId, type UserId } from '../../../protocol/ids.ts'
import type { AccountStore } from '../contract.ts'
import {
  type AccountState,
  assertNotSuspended,
  judgeToken,
  resumeAccount,
} from '../operations/people/account-state.ts'
import { openCodeCounters, raiseCodeCounters, sweepCodes } from './account-codes.ts'
import { activateDevice, forgetDevice, listDevices, revokeDeviceRow } from './account-devices.ts'
import { endDeviceSession } from './device-session.ts'
import { PostgresTransaction } from './operation-transaction.ts'
import type { Operations, Work } from './work.ts'

/** Logins of one device that stand side by side; a further one ends the oldest. */
const LOGINS_PER_DEVICE_MAX = 5

type LoginRow = {
  account: number
  uid: UserId
  device: DeviceId
  refresh_hash: string
  expires_at: number
  ended_at: number | null
  suspended_until: number | null
}

export const accountOperations: Operations<AccountStore> = {
  async recordCode(work, { phone, codeHash, expiresAt, address, perPhoneMax, perAddressMax, windowMs }) {
    await sweepCodes(work, windowMs)
    const counters = await openCodeCounters(work, { phone, address, windowMs })
    const retryAfterMs = Math.max(
      counters.phone.count < perPhoneMax ? 0 : counters.phone.windowAt + windowMs - work.now,
      counters.address.count < perAddressMax ? 0 : counters.address.windowAt + windowMs - work.now,
    )
    if (retryAfterMs > 0) return { taken: false, retryAfterMs }
    await raiseCodeCounters(work, { phone, address })
    await work.query(
      `insert into sms_code (phone, hash, expires_at, tries) values ($1, $2, $3, 0)
       on conflict (phone) do update set hash = excluded.hash, expires_at = excluded.expires_at, tries = 0`,
      [phone, codeHash, expiresAt],
    )
    return { taken: true }
  },

  async login(work, input) {
    if (!(await takeTry(work, input))) return { refused: 'bad_code' }
    const { account, uid, state } = await accountOfPhone(work, input)
    if (state === 'deactivated') await resumeAccount(new PostgresTransaction(work), { account, uid })
    await lockAccount(work, account)
    await assertAccountNotSuspended(work, account)
    await activateDevice(work, { account, device: input.device, devicesMax: input.devicesMax })
    await work.query('delete from sms_code where phone = $1', [input.phone])
    await trimLogins(work, account, uid, input.device.id)
    await work.query(
      `insert into login (sid, account, device, refresh_hash, created_at, expires_at)
       values ($1, $2, $3, $4, $5, $6)`,
      [input.sid, account, input.device.id, input.refreshHash, work.now, input.refreshExpiresAt],
    )
    return { uid }
  },

  async refresh(work, { sid, refreshHash, nextHash, nextExpiresAt }) {
    const login = await findLogin(work, sid, 'for no key update of login')
    if (login === undefined || login.ended_at !== null || login.expires_at <= work.now) {
      throw new WochatError('bad_refresh')
    }
    const { uid, device } = login
    if (!equalHashes(login.refresh_hash, refreshHash)) {
      // Two hold tokens of this login, and one of them stole it. The queue stays: whoever logs in again owns it.
      await markEnded(work, { sid, uid, device })
      return { refused: 'refresh_reused' }
    }
    assertNotSuspended(login, work.now)
    await work.query('update login set refresh_hash = $1, expires_at = $2 where sid = $3', [
      nextHash,
      nextExpiresAt,
      sid,
    ])
    return { uid, device }
  },

  async endLogin(work, { uid, sid }) {
    const known = await findLogin(work, sid)
    if (known?.uid !== uid) return
    await lockAccount(work, known.account)
    const login = await findLogin(work, sid, 'for no key update of login')
    if (login === undefined || login.ended_at !== null) return
    await markEnded(work, { sid, uid, device: login.device })
    await forgetDevice(work, login.account, login.device)
    await endDeviceSession(work, buildClientId(uid, login.device))
  },

  devices(work, uid) {
    return listDevices(work, uid)
  },

  async revokeDevice(work, { uid, device }) {
    const account = await work.findAccount(uid)
    if (account === undefined) return
    await lockAccount(work, account)
    await revokeDeviceRow(work, account, device)
    await work.query(
      'update login set ended_at = $1 where account = $2 and device = $3 and ended_at is null',
      [work.now, account, device],
    )
    await endDeviceSession(work, buildClientId(uid, device))
    work.feed.push({ kind: 'loginEnded', uid, device, sid: null })
  },

  async checkLogin(work, { uid, device, sid, issuedAt }) {
    await assertLoginStands(work, { uid, account: await work.ensureAccount(uid), device, sid, issuedAt })
  },
}

/** Until the end of the transaction nobody else changes the devices of the account, or how many logins it has. */
export async function lockAccount(work: Work, account: number): Promise<void> {
  await work.query('select n from account where n = $1 for no key update', [account])
}

async function assertAccountNotSuspended(work: Work, account: number): Promise<void> {
  const [row] = await work.query<{ suspended_until: number | null }>(
    'select suspended_until from account where n = $1',
    [account],
  )
  assertNotSuspended(row!, work.now)
}

/**
 * Whether the login of a verified token still stands; throws `revoked`, or `account_suspended`. A token of a login (`sid`) stands until that
 * is ended; one without stands unless its device was revoked in or after the second in which it was issued
 * (`issuedAt` is in ms, but comes from whole seconds [RFC 7519 section 4.1.6]); one of a resting account takes that up
 * again. Who writes what must go with the
 * login holds the account by {@link lockAccount} before.
 */
export async function assertLoginStands(
  work: Work,
  token: { uid: UserId; account: number; device: DeviceId | null; sid: string | null; issuedAt: number },
): Promise<void> {
  const { uid, account, device, sid, issuedAt } = token
  if (sid !== null) {
    const login = await findLogin(work, sid)
    const stands =
      login !== undefined &&
      login.ended_at === null &&
      login.account === account &&
      (device === null || login.device === device)
    if (!stands) throw new WochatError('revoked')
    assertNotSuspended(login, work.now)
    return
  }
  const [row] = await work.query<{
    state: AccountState
    state_at: number | null
    suspended_until: number | null
    revoked_at: number | null
  }>(
    `select account.state, account.state_at, account.suspended_until, device.revoked_at
     from account left join device on device.account = account.n and device.id = $2 where account.n = $1`,
    [account, device],
  )
  const verdict = judgeToken(row!, token)
  const revokedAt = row!.revoked_at
  if (revokedAt !== null && Math.floor(revokedAt / 1000) * 1000 >= issuedAt) throw new WochatError('revoked')
  assertNotSuspended(row!, work.now)
  if (verdict === 'resumes') await resumeAccount(new PostgresTransaction(work), { account, uid })
}

// ---------------------------------------------------------------- codes

/** Whether the code is right. A wrong one counts; the right one stays until the login that it opens is written. */
async function takeTry(
  work: Work,
  input: { phone: string; codeHash: string; triesMax: number },
): Promise<boolean> {
  // Locked: of two logins with one code the second finds it gone, and tries at once are all counted.
  const [row] = await work.query<{ hash: string; expires_at: number; tries: number }>(
    'select hash, expires_at, tries from sms_code where phone = $1 for update',
    [input.phone],
  )
  if (row === undefined || row.expires_at <= work.now || row.tries >= input.triesMax) return false
  if (equalHashes(row.hash, input.codeHash)) return true
  await work.query('update sms_code set tries = tries + 1 where phone = $1', [input.phone])
  return false
}

function equalHashes(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** The account of a phone whose code is locked, made if there is none. */
async function accountOfPhone(
  work: Work,
  input: { phone: string; uid: UserId | null; newUid: UserId },
): Promise<{ account: number; uid: UserId; state: AccountState }> {
  const [row] = await work.query<{ n: number; uid: UserId; state: AccountState }>(
    'select n, uid, state from account where phone = $1',
    [input.phone],
  )
  if (row !== undefined) {
    if (input.uid !== null && input.uid !== row.uid) throw new WochatError('uid_fixed')
    return { account: row.n, uid: row.uid, state: row.state }
  }
  const uid = input.uid ?? input.newUid
  const [made] = await work.query<{ n: number }>(
    'insert into account (uid, phone, created_at) values ($1, $2, $3) on conflict do nothing returning n',
    [uid, input.phone, work.now],
  )
  if (made === undefined) throw new WochatError('uid_taken')
  return { account: made.n, uid, state: 'active' }
}

// ---------------------------------------------------------------- logins

async function findLogin(
  work: Work,
  sid: string,
  lock: '' | 'for no key update of login' = '',
): Promise<LoginRow | undefined> {
  const [row] = await work.query<LoginRow>(
    `select account, account.uid, device, refresh_hash, expires_at, ended_at, suspended_until
     from login join account on account.n = login.account where sid = $1 ${lock}`,
    [sid],
  )
  return row
}

async function markEnded(
  work: Work,
  { sid, uid, device }: { sid: string; uid: UserId; device: DeviceId },
): Promise<void> {
  await work.query('update login set ended_at = $1 where sid = $2', [work.now, sid])
  work.feed.push({ kind: 'loginEnded', uid, device, sid })
}

/** Leaves room for one more login of a device: those that are over go, then the oldest. */
async function trimLogins(work: Work, account: number, uid: UserId, device: DeviceId): Promise<void> {
  await work.query(
    'delete from login where account = $1 and device = $2 and (ended_at is not null or expires_at <= $3)',
    [account, device, work.now],
  )
  const surplus = await work.query<{ sid: string }>(
    `select sid from login where account = $1 and device = $2 and ended_at is null
     order by created_at desc, sid desc offset $3`,
    [account, device, LOGINS_PER_DEVICE_MAX - 1],
  )
  for (const { sid } of surplus) await markEnded(work, { sid, uid, device })
}
