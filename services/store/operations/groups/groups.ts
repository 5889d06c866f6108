/** Groups themselves: making one, its profile and its rules. */
import type { Params } from '../../../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import type { Caller } from '../../contract.ts'
import { assertOwnAvatar } from '../media/rows.ts'
import type { StoredOperations } from '../stored.ts'
import type { LogFacts, Person, Transaction } from '../transaction.ts'
import { getAddable } from './adding.ts'
import { createGroupId } from './group-id.ts'
import { itemOf, readItems } from './list.ts'
import { assertAdmin, getGroup, lockGroup, type MyGroup } from './lookup.ts'
import { assertRoomFor, findAdmins, letIn, setRole, tellGroup } from './membership.ts'

type Names = 'groups.create' | 'groups.get' | 'groups.update' | 'groups.announce'

export const groupOperations: StoredOperations<Names> = {
  async 'groups.create'(tx, { caller, members = [], ...profile }) {
    const owner = { uid: caller.uid, account: await tx.ensureAccount(caller.uid) }
    const others = members.filter((uid) => uid !== owner.uid)
    const people = [owner, ...(await getAddable(tx, owner, null, others))]
    const log = await makeGroup(tx, caller, people, { kind: 'group', keepsEntries: true, ...profile })
    return { id: log.name as string }
  },

  async 'groups.get'(tx, { caller, id }) {
    const group = await getGroup(tx, caller, id)
    const { log, me } = group
    const [item] = await readItems(tx, me.account, [log.n])
    const about = await announcementOf(tx, log)
    const requests = await tx.first<{ count: number }>(
      'select count(*) as count from join_request where log = $1',
      [log.n],
    )
    return {
      ...itemOf(item!),
      ...(group.about !== null && { about: group.about }),
      keepsEntries: group.keepsEntries === 1,
      whoWrites: group.whoWrites,
      whoInvites: group.whoInvites,
      whoPins: group.whoPins,
      approval: group.approval === 1,
      ...((group.mutedUntil ?? 0) > tx.now && { mutedUntil: group.mutedUntil! }),
      ...((item!.mutedUntil ?? 0) > tx.now && { iAmMutedUntil: item!.mutedUntil! }),
      ...(about !== undefined && { announcement: about }),
      admins: (await findAdmins(tx, group)).length,
      ...(me.role !== 'member' && { requests: requests!.count }),
      createdAt: group.createdAt,
    }
  },

  async 'groups.update'(tx, { caller, id, ...wanted }) {
    const group = await lockGroup(tx, caller, id)
    assertAdmin(group)
    if (group.kind === 'room' && wanted.approval === true) {
      throw new WochatError('bad_request', 'approval: a room is open to everybody')
    }
    const changes = changesOf(group, wanted)
    if (Object.keys(changes).length === 0) return {}
    await assertOwnAvatar(tx, group.me.account, changes.avatar)
    const now = { ...group, ...changes }
    await tx.query(
      `update chat_group set name = $2, avatar = $3, about = $4, who_writes = $5, who_invites = $6, who_pins = $7,
         approval = $8, changed_at = $9
       where log = $1`,
      [
        group.log.n,
        now.name,
        now.avatar,
        now.about,
        now.whoWrites,
        now.whoInvites,
        now.whoPins,
        Number(now.approval),
        tx.now,
      ],
    )
    if (changes.whoWrites !== undefined) tx.writersChanged(group.log.name)
    await tellGroup(tx, caller, group, 'updated', changes)
    return {}
  },

  async 'groups.announce'(tx, { caller, id, text }) {
    const group = await lockGroup(tx, caller, id)
    assertAdmin(group)
    await tx.query(
      `update chat_group set announcement = $2, announced_by = $3, announced_at = $4, changed_at = $4
       where log = $1`,
      [group.log.n, text, group.me.account, tx.now],
    )
    await tellGroup(tx, caller, group, 'announced', { text })
    return {}
  },
}

type Profile = {
  kind: 'group' | 'room'
  keepsEntries: boolean
  name: string
  avatar?: string
  about?: string
}

/** Makes a group of people, of whom the first owns it. */
export async function makeGroup(
  tx: Transaction,
  caller: Caller,
  people: readonly Person[],
  { kind, keepsEntries, name, avatar, about }: Profile,
): Promise<LogFacts> {
  const owner = people[0]!
  assertRoomFor(tx, { kind, members: 0 }, people.length)
  await assertOwnAvatar(tx, owner.account, avatar)
  await tx.lockAccounts(people.map(({ account }) => account))
  const log = await tx.createGroupLog(createGroupId())
  await tx.query(
    `insert into chat_group
       (log, kind, keeps_entries, name, avatar, about, owner, members, created_at, changed_at)
     values ($1, $2, $3, $4, $5, $6, $7, 0, $8, $8)`,
    [log.n, kind, keepsEntries ? 1 : 0, name, avatar ?? null, about ?? null, owner.account, tx.now],
  )
  const body = { name, owner: owner.uid, members: people.map(({ uid }) => uid) }
  await letIn(tx, caller, { log, kind }, people, 'created', body)
  await setRole(tx, { log }, owner, 'owner')
  return log
}

type Wanted = Omit<Params<'groups.update'>, 'id' | 'requestId'>

/** What of the wanted is not so yet. */
function changesOf(group: MyGroup, wanted: Wanted): Wanted {
  const now: Record<string, unknown> = { ...group, approval: group.approval === 1 }
  return Object.fromEntries(Object.entries(wanted).filter(([field, value]) => now[field] !== value))
}

async function announcementOf(
  tx: Transaction,
  log: LogFacts,
): Promise<{ text: string; by: string; at: number } | undefined> {
  return tx.first(
    `select chat_group.announcement as text, account.uid as by, chat_group.announced_at as at
     from chat_group join account on account.n = chat_group.announced_by
     where chat_group.log = $1 and chat_group.announcement is not null`,
    [log.n],
  )
}
