/** Groups themselves: making one, and the list of mine. */
import { WochatError } from '../../../protocol/errors.ts'
import type { UserId } from '../../../protocol/ids.ts'
import { createGroupId } from './group-id.ts'
import { getAddable, letIn, tellGroup } from './membership.ts'
import type { StoredOperations } from './stored.ts'

export const groupOperations: StoredOperations<'groups.create' | 'groups.list'> = {
  async 'groups.create'(tx, { caller, name, members = [] }) {
    const owner = { uid: caller.uid, account: await tx.ensureAccount(caller.uid) }
    const others = members.filter((uid) => uid !== owner.uid)
    const people = [owner, ...(await getAddable(tx, owner, others))]
    if (people.length > tx.policy.groupMembersMax) throw new WochatError('too_many_members')
    await tx.lockAccounts(people.map(({ account }) => account))
    const log = await tx.createGroupLog(createGroupId())
    await tx.query(
      `insert into chat_group (log, name, owner, members, created_at, changed_at) values ($1, $2, $3, 0, $4, $4)`,
      [log.n, name, owner.account, tx.now],
    )
    const group = { log }
    await letIn(tx, group, people)
    await tx.query(
      `update membership set role = 'owner' where account = $1 and log = $2 and to_seq is null`,
      [owner.account, log.n],
    )
    const body = { name, owner: owner.uid, members: people.map(({ uid }) => uid) }
    await tellGroup(tx, caller, group, 'created', body)
    return { id: log.name as string }
  },

  async 'groups.list'(tx, { caller }) {
    const items = await tx.query<GroupRow>(
      `select log.name as id, chat_group.name, owner.uid as owner, chat_group.members,
         membership.joined_at as "joinedAt"
       from membership
       join chat_group on chat_group.log = membership.log
       join log on log.n = membership.log
       join account as owner on owner.n = chat_group.owner
       where membership.account = $1 and membership.to_seq is null order by membership.log`,
      [(await tx.findAccount(caller.uid)) ?? null],
    )
    return { items }
  },
}

type GroupRow = { id: string; name: string; owner: UserId; members: number; joinedAt: number }
