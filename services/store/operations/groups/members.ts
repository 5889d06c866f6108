/** The members of groups: who comes and goes, who they are, what they may. */
import { WochatError } from '../../../../protocol/errors.ts'
import type { UserId } from '../../../../protocol/ids.ts'
import { LIST_ITEMS_DEFAULT } from '../../../../protocol/limits.ts'
import type { Caller } from '../../contract.ts'
import type { StoredOperations } from '../stored.ts'
import type { Person, Transaction } from '../transaction.ts'
import { getAddable } from './adding.ts'
import {
  accountOfCursor,
  assertInvites,
  assertOutranks,
  badCursor,
  findMembers,
  getGroup,
  IS_ADMIN,
  lockGroup,
  lockPeople,
  type MyGroup,
  type Role,
} from './lookup.ts'
import { assertRoomFor, GROUP_ADMINS_MAX, letIn, letOut, setOwner } from './membership.ts'
import { inviteToWait } from './requests.ts'

type Names = 'groups.add' | 'groups.remove' | 'groups.leave' | 'groups.members'

export const groupMemberOperations: StoredOperations<Names> = {
  async 'groups.add'(tx, { caller, id, members }) {
    const named = await lockPeople(tx, caller, members)
    const group = await lockGroup(tx, caller, id)
    assertInvites(group)
    const present = new Set<string>((await findMembers(tx, group, named)).map(({ uid }) => uid))
    const news = members.filter((uid) => !present.has(uid))
    const people = await getAddable(tx, group.me, group, news)
    const uids = people.map(({ uid }) => uid)
    if (uids.length === 0) return { added: [] }
    if (group.approval === 1 && group.me.role === 'member') {
      await inviteToWait(tx, caller, group, people)
      return { added: [], waiting: uids }
    }
    assertRoomFor(tx, group, people.length)
    await letIn(tx, caller, group, people, 'added', { members: uids })
    return { added: uids }
  },

  async 'groups.remove'(tx, { caller, id, members }) {
    const named = await lockPeople(tx, caller, members)
    const group = await lockGroup(tx, caller, id)
    const people = await findMembers(tx, group, named)
    if (members.includes(caller.uid))
      throw new WochatError('bad_request', 'members: who goes by themselves leaves')
    assertOutranks(group, people)
    const removed = people.map(({ uid }) => uid)
    if (removed.length === 0) return { removed }
    await letOut(tx, caller, group, people, 'removed', { members: removed })
    return { removed }
  },

  async 'groups.leave'(tx, { caller, id }) {
    await lockPeople(tx, caller)
    await leave(tx, caller, await lockGroup(tx, caller, id))
    return {}
  },

  async 'groups.members'(tx, { caller, id, role, limit = LIST_ITEMS_DEFAULT, cursor }) {
    const group = await getGroup(tx, caller, id)
    const after = await parseMembersCursor(tx, cursor)
    const rows =
      role === 'admin' ? await readAdmins(tx, group) : await readMembers(tx, group, role, after, limit)
    const page = role === 'admin' ? rows : rows.slice(0, limit)
    const last = page.at(-1)
    return {
      members: page.map((row) => ({
        uid: row.uid,
        role: row.role,
        ...(row.nickname !== null && { nickname: row.nickname }),
        ...((row.muted_until ?? 0) > tx.now && { mutedUntil: row.muted_until! }),
        joinedAt: row.joined_at,
      })),
      ...(rows.length > page.length && last !== undefined && { cursor: `${last.from_seq}.${last.uid}` }),
    }
  },
}

/** The caller leaves; an owner hands over before. */
export async function leave(tx: Transaction, caller: Caller, group: MyGroup): Promise<void> {
  if (group.me.role === 'owner') await handOver(tx, caller, group)
  await letOut(tx, caller, group, [group.me], 'left', { uid: caller.uid })
}

/**
 * The admin who joined first becomes the owner, without one the member who did; with nobody left, the group stays with
 * who owned it. That the group has changed is said to all of it: the account of the heir is not locked.
 */
async function handOver(tx: Transaction, caller: Caller, group: MyGroup): Promise<void> {
  const { log, me } = group
  const others = 'from membership where log = $1 and to_seq is null and account <> $2'
  const find = (some: string) =>
    tx.first<Person>(
      `select account.uid, heir.account from (${some}) as heir join account on account.n = heir.account
       order by heir.from_seq, heir.account limit 1`,
      [log.n, me.account],
    )
  const heir =
    (await find(`select account, from_seq ${others} and ${IS_ADMIN} limit ${GROUP_ADMINS_MAX}`)) ??
    (await find(`select account, from_seq ${others} order by from_seq, account limit 1`))
  if (heir !== undefined) await setOwner(tx, caller, group, heir)
}

// ---------------------------------------------------------------- pages of members

type MemberRow = {
  uid: UserId
  from_seq: number
  joined_at: number
  role: Role
  nickname: string | null
  muted_until: number | null
}

type Position = { fromSeq: number; account: number }

const MEMBER_COLUMNS = 'account, from_seq, joined_at, role, nickname, muted_until'

function readMembers(
  tx: Transaction,
  { log }: MyGroup,
  role: 'member' | undefined,
  { fromSeq, account }: Position,
  limit: number,
): Promise<MemberRow[]> {
  return tx.query<MemberRow>(
    `select person.uid, page.* from (
       select ${MEMBER_COLUMNS} from membership
       where log = $1 and to_seq is null and (from_seq, account) > ($2, $3)
         ${role === undefined ? '' : `and role = 'member'`}
       order by from_seq, account limit $4
     ) as page join account as person on person.n = page.account
     order by page.from_seq, page.account`,
    [log.n, fromSeq, account, limit + 1],
  )
}

/** All of them: their number is bounded. */
function readAdmins(tx: Transaction, { log }: MyGroup): Promise<MemberRow[]> {
  return tx.query<MemberRow>(
    `select person.uid, page.* from (
       select ${MEMBER_COLUMNS} from membership
       where log = $1 and to_seq is null and ${IS_ADMIN} limit $2
     ) as page join account as person on person.n = page.account
     order by page.from_seq, page.account`,
    [log.n, GROUP_ADMINS_MAX + 1],
  )
}

async function parseMembersCursor(tx: Transaction, cursor: string | undefined): Promise<Position> {
  if (cursor === undefined) return { fromSeq: 0, account: 0 }
  const [, fromSeq, uid] = /^(\d{1,15})\.(.+)$/.exec(cursor) ?? []
  if (fromSeq === undefined) throw badCursor()
  return { fromSeq: Number(fromSeq), account: await accountOfCursor(tx, uid) }
}
