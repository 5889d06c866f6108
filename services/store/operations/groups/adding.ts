/** Who may be added to a group, by whom. */
import { WochatError } from '../../../../protocol/errors.ts'
import type { Person, Transaction } from '../transaction.ts'
import { findPeople, type Group } from './lookup.ts'

type Refusal = { uid: string; code: 'unknown_user' | 'blocked' | 'not_friends' | 'banned' }

/** What somebody says of the one who adds them; a row without `state` is of nobody they know. */
type Standing = { account: number; isActive: number; state: string | null; blocked: number | null }

/**
 * The people behind the uids, if each of them may be added; else `users_refused` with all who may not. `group` is null
 * for one that is not made yet.
 */
export async function getAddable(
  tx: Transaction,
  by: Person,
  group: Pick<Group, 'log'> | null,
  uids: readonly string[],
): Promise<Person[]> {
  if (uids.length === 0) return []
  const people = await findPeople(tx, uids)
  const accounts = new Map<string, number>(people.map(({ uid, account }) => [uid, account]))
  const standings = await findStandings(tx, by, people)
  const banned = group === null ? new Set<number>() : await findBanned(tx, group, people)
  const refused = [...new Set(uids)].flatMap((uid): Refusal[] => {
    const account = accounts.get(uid)
    const standing = account === undefined ? undefined : standings.get(account)
    if (standing === undefined || standing.isActive === 0) return [{ uid, code: 'unknown_user' }]
    // A block does not reach into groups they share, but nobody is pulled into one by somebody they blocked.
    if (standing.blocked === 1) return [{ uid, code: 'blocked' }]
    if (tx.policy.contactsRequired && standing.state !== 'friend') return [{ uid, code: 'not_friends' }]
    return banned.has(standing.account) ? [{ uid, code: 'banned' }] : []
  })
  if (refused.length > 0) throw new WochatError('users_refused', undefined, { details: { users: refused } })
  return people
}

async function findStandings(
  tx: Transaction,
  by: Person,
  people: readonly Person[],
): Promise<Map<number, Standing>> {
  const rows = await tx.query<Standing>(
    `select account.n as account, case when account.state = 'active' then 1 else 0 end as "isActive",
       contact.state, contact.blocked
     from ${tx.list('$2', 'number')} as wanted
     join account on account.n = wanted.value
     left join contact on contact.account = account.n and contact.peer = $1`,
    [by.account, people.map(({ account }) => account)],
  )
  return new Map(rows.map((row) => [row.account, row]))
}

/** Those of them who are banned now. */
export async function findBanned(
  tx: Transaction,
  { log }: Pick<Group, 'log'>,
  people: readonly Person[],
): Promise<Set<number>> {
  const rows = await tx.query<{ account: number }>(
    `select wanted.value as account from ${tx.list('$2', 'number')} as wanted
     where 1 = (
       select 1 from group_ban
       where group_ban.log = $1 and group_ban.account = wanted.value
         and (group_ban.until is null or group_ban.until > $3))`,
    [log.n, people.map(({ account }) => account), tx.now],
  )
  return new Set(rows.map(({ account }) => account))
}
