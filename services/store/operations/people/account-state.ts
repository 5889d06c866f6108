/** Whether an account is active, rests or is erased, and the end of all its logins. */
import { WochatError } from '../../../../protocol/errors.ts'
import { buildNoticeLog, type DeviceId, type LogId, peerOf, type UserId } from '../../../../protocol/ids.ts'
import { touchEach } from '../changes.ts'
import type { Person, Transaction } from '../transaction.ts'

export type AccountState = 'active' | 'deactivated' | 'erased'

/** Of a suspension that does not end by itself. */
export const FOR_GOOD = Number.MAX_SAFE_INTEGER

/** Direct conversations looked at by one statement. */
const LOGS_EACH = 500

export async function accountState(tx: Transaction, account: number): Promise<AccountState> {
  return (await tx.first<{ state: AccountState }>('select state from account where n = $1', [account]))!.state
}

/**
 * Whether a verified token of an account stands as far as the account's state goes: throws `revoked`, or says that
 * this login takes a resting account up again. That can only be one of another issuer: logins of ours ended with the
 * rest, and `login` begins new ones. `issuedAt` is in ms, but comes from whole seconds [RFC 7519 section 4.1.6].
 */
export function judgeToken(
  account: { state: AccountState; state_at: number | null },
  token: { sid: string | null; issuedAt: number },
): 'stands' | 'resumes' {
  if (account.state === 'active') return 'stands'
  const restsSince = Math.floor((account.state_at ?? 0) / 1000) * 1000
  if (account.state === 'erased' || token.sid !== null || token.issuedAt <= restsSince) {
    throw new WochatError('revoked')
  }
  return 'resumes'
}

/** Throws `account_suspended`, with `details.until` (ms) where the suspension ends by itself. */
export function assertNotSuspended(
  { suspended_until: until }: { suspended_until: number | null },
  now: number,
): void {
  if (until === null || until <= now) return
  throw new WochatError('account_suspended', undefined, until === FOR_GOOD ? {} : { details: { until } })
}

/** Takes a resting account up again. */
export async function resumeAccount(tx: Transaction, person: Person): Promise<void> {
  const onlookers = await onlookersOf(tx, person.account)
  await tx.lockAccounts([person.account, ...onlookers])
  if ((await accountState(tx, person.account)) !== 'deactivated') return
  await setAccountState(tx, person, 'active')
  await touchOnlookers(tx, person, onlookers)
}

/** Sets the state of an account that is locked. Who writes to it is judged anew. */
export async function setAccountState(tx: Transaction, person: Person, state: AccountState): Promise<void> {
  await tx.query('update account set state = $2, state_at = $3 where n = $1', [person.account, state, tx.now])
  await recheckWriters(tx, person)
}

/** Everybody who has a direct conversation with the person. */
async function recheckWriters(tx: Transaction, { account, uid }: Person): Promise<void> {
  for (let last = 0; ; ) {
    const logs = await tx.query<{ n: number; name: LogId }>(
      `select log.n, log.name from membership join log on log.n = membership.log
       where membership.account = $1 and membership.log > $2 order by membership.log limit $3`,
      [account, last, LOGS_EACH],
    )
    for (const { name } of logs) {
      const peer = peerOf(name, uid)
      if (peer !== null) tx.writersChanged(name, peer)
    }
    if (logs.length < LOGS_EACH) return
    last = logs.at(-1)!.n
  }
}

/** Lets the devices of onlookers, who are locked, know that something of the person changed. */
export async function touchOnlookers(
  tx: Transaction,
  { uid }: Person,
  onlookers: readonly number[],
): Promise<void> {
  if (onlookers.length > 0) await touchEach(tx, onlookers, 'contacts', uid)
}

/** Whose lists show the profile of an account: friends and whom it asked, in the order of their numbers. */
export async function onlookersOf(tx: Transaction, account: number): Promise<number[]> {
  const rows = await tx.query<{ peer: number }>(
    `select peer from contact where account = $1 and state in ('friend', 'requested') order by peer limit $2`,
    [account, tx.policy.contactsMax],
  )
  return rows.map(({ peer }) => peer)
}

/** Ends every login, session and live connection of a person, and every token that was issued until now. */
export async function endAllLogins(tx: Transaction, { account, uid }: Person): Promise<void> {
  await tx.query('update login set ended_at = $2 where account = $1 and ended_at is null', [account, tx.now])
  // As many as an account may have; those that are revoked already have no session.
  const devices = await tx.query<{ id: DeviceId }>(
    `update device set revoked_at = $2
     where account = $1 and (revoked_at is null or seen_at > revoked_at) returning id`,
    [account, tx.now],
  )
  for (const { id } of devices) {
    await tx.endDeviceSession(uid, id)
    tx.loginEnded(uid, id, null)
  }
}

/** Tells a person's own devices that something of theirs changed, of which `*.changes` or a `get` says more. */
export async function tellSelf(
  tx: Transaction,
  caller: { uid: UserId; device: DeviceId | null },
  type: 'profile' | 'settings',
): Promise<void> {
  await tx.append(buildNoticeLog(caller.uid), { kind: 'notice', ...caller, type, body: {} })
}
