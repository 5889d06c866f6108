/** The group that a call names, who the caller is in it, and whom the call names. */
import { WochatError } from '../../../protocol/errors.ts'
import { parseUserId, type UserId } from '../../../protocol/ids.ts'
import type { Caller } from '../contract.ts'
import type { LogFacts, Person, Transaction } from './transaction.ts'

export type Role = 'owner' | 'admin' | 'member'

/** A group that the caller is a member of. */
export type Group = {
  log: LogFacts
  owner: number
  members: number
  me: Person & { role: Role }
}

/** The group of a call that only looks; `unknown_group` to all who are not in it. */
export async function getGroup(tx: Transaction, caller: Caller, id: string): Promise<Group> {
  return groupOf(tx, caller, await tx.findLog(id))
}

/** The group of a call that changes it: its members and rules stay as they are until the end of the transaction. */
export async function lockGroup(tx: Transaction, caller: Caller, id: string): Promise<Group> {
  return groupOf(tx, caller, await tx.lockLog(id))
}

async function groupOf(tx: Transaction, caller: Caller, log: LogFacts | undefined): Promise<Group> {
  const account = await tx.findAccount(caller.uid)
  if (log === undefined || account === undefined) throw new WochatError('unknown_group')
  const row = await tx.first<{ owner: number; members: number; role: Role }>(
    `select chat_group.owner, chat_group.members, membership.role
     from membership join chat_group on chat_group.log = membership.log
     where membership.account = $1 and membership.log = $2 and membership.to_seq is null`,
    [account, log.n],
  )
  if (row === undefined) throw new WochatError('unknown_group')
  const { role, ...group } = row
  return { log, ...group, me: { uid: caller.uid, account, role } }
}

/** The accounts behind uids, each once, in the order given; what names nobody is left out. */
export async function findPeople(tx: Transaction, uids: readonly string[]): Promise<Person[]> {
  const rows = await tx.query<Person>(
    `select uid, n as account from account where uid in ${tx.list('$1', 'text')}`,
    [uids.flatMap((uid) => parseUserId(uid) ?? [])],
  )
  return inOrder(uids, rows)
}

export type Member = Person & { role: Role }

/** Who of these people is a member. */
export async function findMembers(
  tx: Transaction,
  { log }: Pick<Group, 'log'>,
  people: readonly Person[],
): Promise<Member[]> {
  // The list leads, so that each window is found by its key and not among all members.
  const rows = await tx.query<{ account: number; role: Role }>(
    `select membership.account, membership.role
     from ${tx.list('$2', 'number')} as wanted
     cross join membership
     where membership.account = wanted.value and membership.log = $1 and membership.to_seq is null`,
    [log.n, people.map(({ account }) => account)],
  )
  const roles = new Map(rows.map(({ account, role }) => [account, role]))
  return people.flatMap(({ uid, account }) => {
    const role = roles.get(account)
    return role === undefined ? [] : [{ uid, account, role }]
  })
}

function inOrder<Row extends { uid: UserId }>(uids: readonly string[], rows: readonly Row[]): Row[] {
  const found = new Map<string, Row>(rows.map((row) => [row.uid, row]))
  return [...new Set(uids)].flatMap((uid) => found.get(uid) ?? [])
}
