/**
 * In and out of a group: the seq of an entry of its log opens or closes the windows, so that the audience is fixed by
 * the commit. No step reads all members, whatever the size of the group.
 *
 * A group tells all of who comes and goes. A room does not: with thousands who come for an evening, nobody reads it,
 * and every device would get it.
 */
import type { GroupEntryType } from '../../../../protocol/entry.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import { buildNoticeLog, type UserId } from '../../../../protocol/ids.ts'
import type { Caller } from '../../contract.ts'
import { touchEach } from '../changes.ts'
import type { Person, Transaction } from '../transaction.ts'
import { type Group, IS_ADMIN } from './lookup.ts'

/** Admins of one group, beside its owner. They are told of everybody who wants to join. */
export const GROUP_ADMINS_MAX = 50

/** Appends an entry that says what the caller did. */
export async function tellGroup(
  tx: Transaction,
  { uid, device }: Caller,
  { log }: Pick<Group, 'log'>,
  type: GroupEntryType,
  body: object,
): Promise<void> {
  const { seq } = await tx.append(log.name, { kind: 'group', uid, device, type, body })
  log.head = seq
}

/** Tells the devices of these people that what they are in the group has changed. */
export function touchGroup(tx: Transaction, { log }: Pick<Group, 'log'>, people: readonly Person[]) {
  return touchEach(
    tx,
    people.map(({ account }) => account),
    'groups',
    log.name,
  )
}

/** Says that the group has changed for all of its members, without a row for each. */
export async function groupChanged(tx: Transaction, { log }: Pick<Group, 'log'>): Promise<void> {
  await tx.query('update chat_group set changed_at = $2 where log = $1', [log.n, tx.now])
}

// ---------------------------------------------------------------- in

export function assertRoomFor(tx: Transaction, group: Pick<Group, 'kind' | 'members'>, more: number): void {
  const { groupMembersMax, roomMembersMax } = tx.policy
  const max = group.kind === 'room' ? roomMembersMax : groupMembersMax
  if (group.members + more > max) throw new WochatError('too_many_members')
}

/** Lets people in who are not in, with an entry that says so. */
export async function letIn(
  tx: Transaction,
  caller: Caller,
  group: Pick<Group, 'log' | 'kind'>,
  people: readonly Person[],
  type: 'created' | 'added' | 'joined',
  body: object,
): Promise<void> {
  const { log, kind } = group
  await tx.letIn(log, people, log.head + 1)
  const accounts = people.map(({ account }) => account)
  await keepMutes(tx, group, people)
  await tx.query(
    `delete from join_request where (log, account) in
       (select cast($1 as bigint), value from ${tx.list('$2', 'number')} as news)`,
    [log.n, accounts],
  )
  await countMembers(tx, log.n, people.length)
  await touchGroup(tx, group, people)
  if (kind === 'group' || type === 'created') await tellGroup(tx, caller, group, type, body)
}

/** Who was muted when they left is it when they come again. */
async function keepMutes(
  tx: Transaction,
  { log }: Pick<Group, 'log'>,
  people: readonly Person[],
): Promise<void> {
  const mutes = await tx.query<{ account: number; until: number | null }>(
    `select news.value as account, (
       select max(earlier.muted_until) from membership as earlier
       where earlier.account = news.value and earlier.log = $1 and earlier.muted_until > $3) as until
     from ${tx.list('$2', 'number')} as news`,
    [log.n, people.map(({ account }) => account), tx.now],
  )
  for (const { account, until } of mutes) {
    if (until === null) continue
    await muteMember(tx, log.n, account, until)
    tx.writersChanged(log.name, await tx.uidOf(account))
  }
}

/** Until a time, or not any more; earlier windows forget it too. */
export async function muteMember(
  tx: Transaction,
  log: number,
  account: number,
  until: number | null,
): Promise<void> {
  await tx.query(
    `update membership set muted_until = case when to_seq is null then cast($3 as bigint) else null end
     where account = $1 and log = $2 and (to_seq is null or muted_until is not null)`,
    [account, log, until],
  )
}

// ---------------------------------------------------------------- out

/** Lets members out, with an entry that is the last they get; in a room that is only told of those who are sent away. */
export async function letOut(
  tx: Transaction,
  caller: Caller,
  group: Pick<Group, 'log' | 'kind'>,
  people: readonly Person[],
  type: 'left' | 'removed' | 'banned',
  body: object,
): Promise<void> {
  if (group.kind === 'group' || type !== 'left') await tellGroup(tx, caller, group, type, body)
  await closeWindows(tx, group, people)
}

/** Lets members out after the last entry. */
export async function closeWindows(
  tx: Transaction,
  group: Pick<Group, 'log'>,
  people: readonly Person[],
): Promise<void> {
  const { log } = group
  await tx.letOut(log, people, log.head)
  await countMembers(tx, log.n, -people.length)
  await touchGroup(tx, group, people)
}

async function countMembers(tx: Transaction, log: number, change: number): Promise<void> {
  await tx.query('update chat_group set members = members + $1 where log = $2', [change, log])
}

// ---------------------------------------------------------------- roles

export async function setRole(
  tx: Transaction,
  { log }: Pick<Group, 'log'>,
  { uid, account }: Person,
  role: 'owner' | 'admin' | 'member',
): Promise<void> {
  await tx.query('update membership set role = $3 where account = $1 and log = $2 and to_seq is null', [
    account,
    log.n,
    role,
  ])
  tx.writersChanged(log.name, uid)
}

/** Makes a member the owner, and tells all. */
export async function setOwner(tx: Transaction, caller: Caller, group: Group, heir: Person): Promise<void> {
  await tx.query('update chat_group set owner = $2, changed_at = $3 where log = $1', [
    group.log.n,
    heir.account,
    tx.now,
  ])
  await setRole(tx, group, heir, 'owner')
  await tellGroup(tx, caller, group, 'owner', { uid: heir.uid })
}

/** The owner and the admins of a group, in the order of their uids. */
export function findAdmins(tx: Transaction, { log }: Pick<Group, 'log'>): Promise<Person[]> {
  return tx.query<Person>(
    `select account.uid, account.n as account
     from membership join account on account.n = membership.account
     where membership.log = $1 and membership.to_seq is null and ${IS_ADMIN}
     order by account.uid limit $2`,
    [log.n, GROUP_ADMINS_MAX + 1],
  )
}

/** Puts a notice to people on their notice logs; they are in the order of their uids. */
export async function notify(
  tx: Transaction,
  { uid, device }: Caller,
  people: readonly { uid: UserId }[],
  type: 'joinRequested' | 'joinRejected',
  body: object,
): Promise<void> {
  for (const reader of people) {
    await tx.append(buildNoticeLog(reader.uid), { kind: 'notice', uid, device, type, body })
  }
}
