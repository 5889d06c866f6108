/** The devices of an account. Whoever changes them holds the account's row. */
import { WochatError } from '../../../protocol/errors.ts'
import type { DeviceId, UserId } from '../../../protocol/ids.ts'
import type { AccountStore, LoginDevice } from '../contract.ts'
import type { Work } from './work.ts'

/** Rows of revoked devices kept per account, the newest ones; they refuse tokens that have no login of ours. */
const REVOKED_DEVICES_MAX = 1000
/** At the cap on devices, one that nobody can use any more and that was not seen for this long makes room. */
const DEVICE_IDLE_MAX_MS = 90 * 24 * 60 * 60 * 1000

/** A device that was revoked counts again from its next login or connect on. */
const ACTIVE_DEVICE = '(device.revoked_at is null or device.seen_at > device.revoked_at)'

/** Writes the device of a new login; throws `too_many_devices`. */
export async function activateDevice(
  work: Work,
  input: { account: number; device: LoginDevice; devicesMax: number },
): Promise<void> {
  const { account, device, devicesMax } = input
  const active = await work.query(
    `select 1 from device where account = $1 and id = $2 and ${ACTIVE_DEVICE}`,
    [account, device.id],
  )
  if (active.length === 0) await leaveRoomForDevice(work, account, devicesMax)
  await work.query(
    `insert into device (account, id, kind, name, created_at, seen_at) values ($1, $2, $3, $4, $5, $5)
     on conflict (account, id) do update set
       kind = excluded.kind, name = excluded.name,
       created_at = case when ${ACTIVE_DEVICE} then device.created_at else excluded.created_at end,
       seen_at = greatest(excluded.seen_at, device.revoked_at + 1)`,
    [account, device.id, device.kind, device.name, work.now],
  )
}

export async function listDevices(work: Work, uid: UserId): ReturnType<AccountStore['devices']> {
  return work.query(
    `select id, kind, name, created_at as "createdAt", seen_at as "seenAt" from device
     where account = $1 and ${ACTIVE_DEVICE} order by seen_at desc, id collate "C"`,
    [(await work.findAccount(uid)) ?? null],
  )
}

/** A token may name a device that was never seen; its row must be there to refuse it. */
export async function revokeDeviceRow(work: Work, account: number, device: DeviceId): Promise<void> {
  await work.query(
    `insert into device (account, id, kind, name, created_at, seen_at, revoked_at) values ($1, $2, '', '', $3, $3, $3)
     on conflict (account, id) do update set
       revoked_at = excluded.revoked_at, seen_at = least(device.seen_at, excluded.seen_at)`,
    [account, device, work.now],
  )
  await work.query(
    `delete from device where account = $1 and id in (
       select id from device where account = $1 and not ${ACTIVE_DEVICE} order by revoked_at desc offset $2)`,
    [account, REVOKED_DEVICES_MAX],
  )
}

/** After a logout the device is no longer the account's, unless another login of it stands. What refuses tokens stays. */
export async function forgetDevice(work: Work, account: number, device: DeviceId): Promise<void> {
  const others = await work.query(
    'select 1 from login where account = $1 and device = $2 and ended_at is null and expires_at > $3 limit 1',
    [account, device, work.now],
  )
  if (others.length > 0) return
  await work.query(
    'update device set seen_at = revoked_at where account = $1 and id = $2 and revoked_at is not null',
    [account, device],
  )
  await work.query('delete from device where account = $1 and id = $2 and revoked_at is null', [
    account,
    device,
  ])
}

async function leaveRoomForDevice(work: Work, account: number, devicesMax: number): Promise<void> {
  if ((await countDevices(work, account)) < devicesMax) return
  await work.query(
    `delete from device where account = $1 and revoked_at is null and seen_at < $2 and not exists (
       select 1 from login where login.account = device.account and login.device = device.id
         and ended_at is null and expires_at > $3)`,
    [account, work.now - DEVICE_IDLE_MAX_MS, work.now],
  )
  if ((await countDevices(work, account)) >= devicesMax) throw new WochatError('too_many_devices')
}

async function countDevices(work: Work, account: number): Promise<number> {
  const [row] = await work.query<{ count: number }>(
    `select count(*)::int as count from device where account = $1 and ${ACTIVE_DEVICE}`,
    [account],
  )
  return row!.count
}
