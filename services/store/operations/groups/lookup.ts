/** The group that a call names, what the caller is in it and may do, and the people whom the call names. */
import { WochatError } from '../../../../protocol/errors.ts'
import { parseUserId, type UserId } from '../../../../protocol/ids.ts'
import type { Caller } from '../../contract.ts'
import type { LogFacts, Person, Transaction } from '../transaction.ts'

export type Role = 'owner' | 'admin' | 'member'
export type Who = 'members' | 'admins'

type GroupRow = {
  kind: 'group' | 'room'
  name: string
  avatar: string | null
  about: string | null
  owner: number
  members: number
  whoWrites: Who
  whoInvites: Who
  whoPins: Who
  approval: number
  keepsEntries: number
  mutedUntil: number | null
  createdAt: number
}

const GROUP_COLUMNS = `chat_group.kind, chat_group.name, chat_group.avatar, chat_group.about, chat_group.owner,
  chat_group.members, chat_group.who_writes as "whoWrites", chat_group.who_invites as "whoInvites",
  chat_group.who_pins as "whoPins", chat_group.approval, chat_group.keeps_entries as "keepsEntries",
  chat_group.muted_until as "mutedUntil", chat_group.created_at as "createdAt"`

/** A group that is not dissolved. */
export type Group = GroupRow & { log: LogFacts }

export type Member = Person & { role: Role }

/** A group that the caller is a member of. */
export type MyGroup = Group & { me: Member }

// ---------------------------------------------------------------- groups

/** The group of a call that only looks; `unknown_group` to all who are not in it. */
export async function getGroup(tx: Transaction, caller: Caller, id: string): Promise<MyGroup> {
  return ofMember(tx, caller, await tx.findLog(id))
}

/** The group of a call that changes it: its members and rules stay as they are until the end of the transaction. */
export async function lockGroup(tx: Transaction, caller: Caller, id: string): Promise<MyGroup> {
  return ofMember(tx, caller, await tx.lockLog(id))
}

async function ofMember(tx: Transaction, caller: Caller, log: LogFacts | undefined): Promise<MyGroup> {
  const account = await tx.findAccount(caller.uid)
  if (log === undefined || account === undefined) throw new WochatError('unknown_group')
  const row = await tx.first<GroupRow & { role: Role }>(
    `select ${GROUP_COLUMNS}, membership.role
     from membership join chat_group on chat_group.log = membership.log
     where membership.account = $1 and membership.log = $2 and membership.to_seq is null
       and chat_group.dissolved_at is null`,
    [account, log.n],
  )
  if (row === undefined) throw new WochatError('unknown_group')
  const { role, ...group } = row
  return { ...group, log, me: { uid: caller.uid, account, role } }
}

/** {@link lockGroup} for people who may not be in it. */
export async function lockAnyGroup(tx: Transaction, id: string): Promise<Group | undefined> {
  const log = await tx.lockLog(id)
  if (log === undefined) return undefined
  const row = await tx.first<GroupRow>(
    `select ${GROUP_COLUMNS} from chat_group where log = $1 and dissolved_at is null`,
    [log.n],
  )
  return row === undefined ? undefined : { ...row, log }
}

/** SQL of a window of an owner or admin, in the words of the index of these few: never looks through all members. */
export const IS_ADMIN = `membership.role in ('owner', 'admin') and membership.role <> 'member'`

// ---------------------------------------------------------------- what roles may

export function assertAdmin({ me }: MyGroup): void {
  if (me.role === 'member') throw new WochatError('not_admin')
}

export function assertOwner({ me }: MyGroup): void {
  if (me.role !== 'owner') throw new WochatError('not_owner')
}

/** The owner decides about anybody, admins about plain members: `not_admin`, `not_owner`. */
export function assertOutranks(group: MyGroup, others: readonly Member[]): void {
  assertAdmin(group)
  if (group.me.role !== 'owner' && others.some(({ role }) => role !== 'member')) {
    throw new WochatError('not_owner')
  }
}

/** Who may invite may add members and make links. */
export function assertInvites(group: MyGroup): void {
  if (group.whoInvites === 'admins') assertAdmin(group)
}

// ---------------------------------------------------------------- people

/** The accounts behind uids, each once, in the order given; what names nobody is left out. */
export async function findPeople(tx: Transaction, uids: readonly string[]): Promise<Person[]> {
  const rows = await tx.query<Person>(
    `select uid, n as account from account where uid in ${tx.list('$1', 'text')}`,
    [uids.flatMap((uid) => parseUserId(uid) ?? [])],
  )
  const found = new Map<string, Person>(rows.map((row) => [row.uid, row]))
  return [...new Set(uids)].flatMap((uid) => found.get(uid) ?? [])
}

/** {@link findPeople}, with the caller among those who are locked: accounts come before the log of a group. */
export async function lockPeople(
  tx: Transaction,
  caller: Caller,
  uids: readonly string[] = [],
): Promise<Person[]> {
  const people = await findPeople(tx, [caller.uid, ...uids])
  await tx.lockAccounts(people.map(({ account }) => account))
  const named = new Set(uids)
  return people.filter(({ uid }) => named.has(uid))
}

/** Who of these people is a member. */
export async function findMembers(
  tx: Transaction,
  { log }: Pick<Group, 'log'>,
  people: readonly Person[],
): Promise<Member[]> {
  // A query within the query finds each window by its key. A join of 500 people with a group was planned by PostgreSQL
  // as 500 times all of its members.
  const rows = await tx.query<{ account: number; role: Role | null }>(
    `select wanted.value as account, (
       select membership.role from membership
       where membership.account = wanted.value and membership.log = $1 and membership.to_seq is null) as role
     from ${tx.list('$2', 'number')} as wanted`,
    [log.n, people.map(({ account }) => account)],
  )
  const roles = new Map(rows.map(({ account, role }) => [account, role]))
  return people.flatMap(({ uid, account }) => {
    const role = roles.get(account) ?? null
    return role === null ? [] : [{ uid, account, role }]
  })
}

/** The member that a call is about; `not_member`. */
export async function getMember(tx: Transaction, group: MyGroup, people: readonly Person[]): Promise<Member> {
  const [member] = await findMembers(tx, group, people)
  if (member === undefined) throw new WochatError('not_member')
  return member
}

/** The account behind the uid of a cursor; `bad_request` when there is none. */
export async function accountOfCursor(tx: Transaction, uid: string | undefined): Promise<number> {
  const account = uid === undefined ? undefined : await tx.findAccount(uid as UserId)
  if (account === undefined) throw badCursor()
  return account
}

export const badCursor = (): WochatError =>
  new WochatError('bad_request', 'cursor: not one of this operation')
