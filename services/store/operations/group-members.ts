/** The members of groups: who comes, who goes, who they are. */
import { WochatError } from '../../../protocol/errors.ts'
import type { UserId } from '../../../protocol/ids.ts'
import { LIST_ITEMS_DEFAULT } from '../../../protocol/limits.ts'
import type { Caller } from '../contract.ts'
import { findMembers, findPeople, type Group, getGroup, lockGroup, type Role } from './group-lookup.ts'
import { getAddable, letIn, letOut, tellGroup } from './membership.ts'
import type { StoredOperations } from './stored.ts'
import type { Person, Transaction } from './transaction.ts'

type Names = 'groups.add' | 'groups.remove' | 'groups.leave' | 'groups.members'

export const groupMemberOperations: StoredOperations<Names> = {
  async 'groups.add'(tx, { caller, id, members }) {
    await lockPeople(tx, caller, members)
    const group = await lockGroup(tx, caller, id)
    const present = await findMembers(tx, group, await findPeople(tx, members))
    const known = new Set<string>(present.map(({ uid }) => uid))
    const people = await getAddable(
      tx,
      group.me,
      members.filter((uid) => !known.has(uid)),
    )
    if (group.members + people.length > tx.policy.groupMembersMax) throw new WochatError('too_many_members')
    const added = people.map(({ uid }) => uid)
    if (added.length === 0) return { added }
    await letIn(tx, group, people)
    await tellGroup(tx, caller, group, 'added', { members: added })
    return { added }
  },

  async 'groups.remove'(tx, { caller, id, members }) {
    await lockPeople(tx, caller, members)
    const group = await lockGroup(tx, caller, id)
    if (group.me.role !== 'owner') throw new WochatError('not_owner')
    if (members.includes(caller.uid)) throw new WochatError('bad_request', 'members: the owner leaves')
    const people = await findMembers(tx, group, await findPeople(tx, members))
    const removed = people.map(({ uid }) => uid)
    if (removed.length === 0) return { removed }
    const toSeq = await tellGroup(tx, caller, group, 'removed', { members: removed })
    await letOut(tx, group, people, toSeq)
    return { removed }
  },

  async 'groups.leave'(tx, { caller, id }) {
    await lockPeople(tx, caller, [])
    const group = await lockGroup(tx, caller, id)
    if (group.me.role === 'owner') await handOver(tx, caller, group)
    const toSeq = await tellGroup(tx, caller, group, 'left', { uid: caller.uid })
    await letOut(tx, group, [group.me], toSeq)
    return {}
  },

  async 'groups.members'(tx, { caller, id, limit = LIST_ITEMS_DEFAULT, cursor }) {
    const group = await getGroup(tx, caller, id)
    const after = cursor === undefined ? { fromSeq: 0, account: 0 } : await parseMembersCursor(tx, cursor)
    const rows = await tx.query<MemberRow>(
      `select account.uid, page.from_seq, page.joined_at, page.role from (
         select account, from_seq, joined_at, role from membership
         where log = $1 and to_seq is null and (from_seq, account) > ($2, $3)
         order by from_seq, account limit $4
       ) as page join account on account.n = page.account
       order by page.from_seq, page.account`,
      [group.log.n, after.fromSeq, after.account, limit + 1],
    )
    const page = rows.slice(0, limit)
    const last = page.at(-1)
    return {
      members: page.map(({ uid, role, joined_at }) => ({ uid, role, joinedAt: joined_at })),
      ...(rows.length > limit && last !== undefined && { cursor: `${last.from_seq}.${last.uid}` }),
    }
  },
}

type MemberRow = { uid: UserId; from_seq: number; joined_at: number; role: Role }

async function parseMembersCursor(
  tx: Transaction,
  cursor: string,
): Promise<{ fromSeq: number; account: number }> {
  const [, fromSeq, uid] = /^(\d{1,15})\.(.+)$/.exec(cursor) ?? []
  const account = uid === undefined ? undefined : await tx.findAccount(uid)
  if (account === undefined) throw new WochatError('bad_request', 'cursor: not one of this operation')
  return { fromSeq: Number(fromSeq), account }
}

/** Accounts come before the log of a group, in every operation. */
async function lockPeople(tx: Transaction, caller: Caller, uids: readonly string[]): Promise<void> {
  const people = await findPeople(tx, [caller.uid, ...uids])
  await tx.lockAccounts(people.map(({ account }) => account))
}

/**
 * The member who joined first becomes the owner; with nobody left, the group stays with who owned it. All members see
 * that the group has changed, so that the heir's account, which is not locked, is left alone.
 */
async function handOver(tx: Transaction, caller: Caller, group: Group): Promise<void> {
  const { log, me } = group
  const heir = await tx.first<Person>(
    `select account.uid, heir.account from (
       select account from membership where log = $1 and to_seq is null and account <> $2
       order by from_seq, account limit 1
     ) as heir join account on account.n = heir.account`,
    [log.n, me.account],
  )
  if (heir === undefined) return
  await tx.query('update chat_group set owner = $2, changed_at = $3 where log = $1', [
    log.n,
    heir.account,
    tx.now,
  ])
  await tx.query(`update membership set role = 'owner' where account = $1 and log = $2 and to_seq is null`, [
    heir.account,
    log.n,
  ])
  tx.writersChanged(log.name, heir.uid)
  await tellGroup(tx, caller, group, 'owner', { uid: heir.uid })
}
