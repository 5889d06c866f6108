/**
 * Suspensions: an account that its operator took out of use. Its logins, sessions and devices stay what they are, so that
 * all goes on when the suspension ends; while it lasts, whatever looks at a login refuses it
 * ({@link assertNotSuspended}). It ends by the clock: nothing has to happen for that, but webhooks are told of it.
 */
import { SUSPENSIONS_PAGE_MAX, type SuspensionRow } from '../../../../protocol/admin/suspensions.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import type { UserId } from '../../../../protocol/ids.ts'
import { accountState, assertNotSuspended, FOR_GOOD } from '../people/account-state.ts'
import type { Person, Transaction } from '../transaction.ts'
import type { OperatorOperations } from './operator.ts'

/** Ends written down by one transaction. */
const ENDED_EACH = 200
const FREE = 'suspended_at = null, suspended_until = null, suspended_for = null'

type Row = { n: number; uid: UserId; reason: string; at: number; until: number }

export const suspensionOperations: OperatorOperations<'suspend' | 'unsuspend' | 'suspensions'> = {
  async suspend(tx, { uid, reason, until }) {
    assertLater(tx, until)
    const person = await lockLiving(tx, uid)
    return suspendAccount(tx, person, reason, until)
  },

  async unsuspend(tx, { uid }) {
    const { account } = await lockLiving(tx, uid)
    const row = await tx.first<{ until: number | null }>(
      'select suspended_until as until from account where n = $1',
      [account],
    )
    const until = row!.until ?? 0
    await tx.query(`update account set ${FREE} where n = $1`, [account])
    return { uid, wasSuspended: until > tx.now }
  },

  async suspensions(tx, { after = 0, limit = SUSPENSIONS_PAGE_MAX }) {
    const rows = await tx.query<Row>(
      `select n, uid, suspended_for as reason, suspended_at as at, suspended_until as until from account
       where suspended_until is not null and suspended_until > $1 and n > $2 and state <> 'erased'
       order by n limit $3`,
      [tx.now, after, limit + 1],
    )
    const page = rows.slice(0, limit)
    return { suspensions: page.map(describe), ...(rows.length > limit && { after: page.at(-1)!.n }) }
  },
}

/** Whether the time of a suspension is over at `$1`. */
export const SUSPENSIONS_WAIT = `(
  select min(suspended_until) from account where suspended_until is not null) <= $1`

export const suspensionTasks = {
  /** Refuses `account_suspended`: for what was let in by a login, and was not stored at once. */
  async assertMaySend(tx: Transaction, { uid }: { uid: UserId }): Promise<void> {
    const row = await tx.first<{ suspended_until: number | null }>(
      'select suspended_until from account where uid = $1',
      [uid],
    )
    if (row !== undefined) assertNotSuspended(row, tx.now)
  },

  /** Writes down the end of suspensions whose time is over, some at a time; answers how many. */
  async endSuspensions(tx: Transaction, _input: object): Promise<number> {
    const over = await tx.query<{ n: number }>(
      'select n from account where suspended_until <= $1 order by suspended_until limit $2',
      [tx.now, ENDED_EACH],
    )
    const accounts = over.map(({ n }) => n)
    await tx.lockAccounts(accounts)
    // Somebody may have suspended one again meanwhile.
    const ended = await tx.query(
      `update account set ${FREE} where n in ${tx.list('$1', 'number')} and suspended_until <= $2 returning 1 as one`,
      [accounts, tx.now],
    )
    return ended.length
  },
} as const

/** Refuses `unknown_user`; also of an account that is erased, to which nobody comes back. */
export async function lockLiving(tx: Transaction, uid: string): Promise<Person> {
  const account = await tx.findAccount(uid)
  if (account === undefined) throw new WochatError('unknown_user')
  await tx.lockAccounts([account])
  if ((await accountState(tx, account)) === 'erased') throw new WochatError('unknown_user')
  return { uid: uid as UserId, account }
}

/** Whether a suspension may end then. */
export function assertLater(tx: Transaction, until: number | undefined): void {
  if (until !== undefined && until <= tx.now) throw new WochatError('bad_request', 'until: not after now')
}

/** Suspends an account that is locked, `until` a time (ms) or for good, and closes its connections. */
export async function suspendAccount(
  tx: Transaction,
  { uid, account }: Person,
  reason: string,
  until: number = FOR_GOOD,
): Promise<SuspensionRow> {
  await tx.query(
    'update account set suspended_at = $2, suspended_until = $3, suspended_for = $4 where n = $1',
    [account, tx.now, until, reason],
  )
  tx.loginEnded(uid, null, null)
  return describe({ uid, reason, at: tx.now, until })
}

function describe({ uid, reason, at, until }: Omit<Row, 'n'>): SuspensionRow {
  return { uid, reason, at, ...(until !== FOR_GOOD && { until }) }
}
