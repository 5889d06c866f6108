/**
 * Groups: who is in, and from where to where of the log. Every change is one entry of the group's log, and that
 * entry's seq opens or closes the windows, so that the audience is fixed by the commit.
 *
 * A change holds the row of the group's log from before it looks who is in: so the bound on members, the owner and
 * the windows are decided in one order, whichever nodes ask. Statements take all people of a call at once, and none
 * reads all members, whatever the size of the group.
 */
import { WochatError } from '../../../protocol/errors.ts'
import { type LogId, parseLog, parseUserId, type UserId } from '../../../protocol/ids.ts'
import { LIST_ITEMS_DEFAULT } from '../../../protocol/limits.ts'
import type { Caller, GroupStore } from '../contract.ts'
import { appendEntry } from './logs.ts'
import { once } from './once.ts'
import type { Operations, Work } from './work.ts'

type Person = { uid: UserId; account: number }

type GroupLog = { n: number; name: LogId; head: number; messages: number }

/** A group that the caller is a member of. */
type Group = GroupLog & { owner: number; members: number; caller: Person }

type GroupEntry =
  | { type: 'created'; body: { name: string; owner: UserId; members: UserId[] } }
  | { type: 'added' | 'removed'; body: { members: UserId[] } }
  | { type: 'left' | 'owner'; body: { uid: UserId } }

export const groupOperations: Operations<GroupStore> = {
  createGroup(work, { caller, requestId, name, members = [], log, membersMax }) {
    return once(work, 'groups.create', { caller, requestId, name, members }, async () => {
      const owner = { uid: caller.uid, account: await work.ensureAccount(caller.uid) }
      const others = members.filter((uid) => uid !== owner.uid)
      const people = [owner, ...(await getAddable(work, owner, others))]
      if (people.length > membersMax) throw new WochatError('too_many_members')
      const group = await createGroupLog(work, log)
      await work.query(
        'insert into chat_group (log, name, owner, members, created_at) values ($1, $2, $3, 0, $4)',
        [group.n, name, owner.account, work.now],
      )
      await letIn(work, group, people)
      const body = { name, owner: owner.uid, members: people.map((person) => person.uid) }
      await append(work, log, caller, { type: 'created', body })
      return { id: log as string }
    })
  },

  addMembers(work, { caller, requestId, id, members, membersMax }) {
    return once(work, 'groups.add', { caller, requestId, id, members }, async () => {
      const group = await lockGroup(work, caller, id)
      const present = new Set((await findMembers(work, group, members)).map(({ uid }) => uid as string))
      const news = members.filter((uid) => !present.has(uid))
      const people = await getAddable(work, group.caller, news)
      if (group.members + people.length > membersMax) throw new WochatError('too_many_members')
      const added = people.map((person) => person.uid)
      if (added.length === 0) return { added }
      await letIn(work, group, people)
      await append(work, group.name, caller, { type: 'added', body: { members: added } })
      return { added }
    })
  },

  removeMembers(work, { caller, requestId, id, members }) {
    return once(work, 'groups.remove', { caller, requestId, id, members }, async () => {
      const group = await lockGroup(work, caller, id)
      if (group.owner !== group.caller.account) throw new WochatError('not_owner')
      if (members.includes(caller.uid)) throw new WochatError('bad_request', 'members: the owner leaves')
      const people = await findMembers(work, group, members)
      const removed = people.map((person) => person.uid)
      if (removed.length === 0) return { removed }
      const toSeq = await append(work, group.name, caller, { type: 'removed', body: { members: removed } })
      await letOut(work, group, people, toSeq)
      return { removed }
    })
  },

  leaveGroup(work, { caller, requestId, id }) {
    return once(work, 'groups.leave', { caller, requestId, id }, async () => {
      const group = await lockGroup(work, caller, id)
      if (group.owner === group.caller.account) await handOver(work, group, caller)
      const toSeq = await append(work, group.name, caller, { type: 'left', body: { uid: caller.uid } })
      await letOut(work, group, [group.caller], toSeq)
      return {}
    })
  },

  async groups(work, uid) {
    const items = await work.query<Awaited<ReturnType<GroupStore['groups']>>['items'][number]>(
      `select log.name as id, chat_group.name, owner.uid as owner, chat_group.members,
         membership.joined_at as "joinedAt"
       from membership
       join chat_group on chat_group.log = membership.log
       join log on log.n = membership.log
       join account as owner on owner.n = chat_group.owner
       where membership.account = $1 and membership.to_seq is null order by membership.log`,
      [(await work.findAccount(uid)) ?? null],
    )
    return { items }
  },

  async members(work, { caller, id, limit = LIST_ITEMS_DEFAULT, cursor }) {
    const group = await getGroup(work, caller, await findGroupLog(work, id))
    const after = cursor === undefined ? { fromSeq: 0, account: 0 } : await parseMembersCursor(work, cursor)
    const rows = await work.query<{ uid: UserId; account: number; from_seq: number; joined_at: number }>(
      `select account.uid, page.account, page.from_seq, page.joined_at from (
         select account, from_seq, joined_at from membership
         where log = $1 and to_seq is null and (from_seq, account) > ($2, $3)
         order by from_seq, account limit $4
       ) as page join account on account.n = page.account
       order by page.from_seq, page.account`,
      [group.n, after.fromSeq, after.account, limit + 1],
    )
    const page = rows.slice(0, limit)
    const last = page.at(-1)
    return {
      members: page.map((row) => ({
        uid: row.uid,
        role: row.account === group.owner ? 'owner' : 'member',
        joinedAt: row.joined_at,
      })),
      ...(rows.length > limit && last !== undefined && { cursor: `${last.from_seq}.${last.uid}` }),
    }
  },
}

async function parseMembersCursor(work: Work, cursor: string): Promise<{ fromSeq: number; account: number }> {
  const [, fromSeq, uid] = /^(\d{1,15})\.(.+)$/.exec(cursor) ?? []
  const account = uid === undefined ? undefined : await work.findAccount(uid as UserId)
  if (account === undefined) throw new WochatError('bad_request', 'cursor: not one of this operation')
  return { fromSeq: Number(fromSeq), account }
}

// ---------------------------------------------------------------- looking up

async function findGroupLog(
  work: Work,
  id: string,
  lock: '' | 'for no key update' = '',
): Promise<GroupLog | undefined> {
  const [log] = await work.query<GroupLog>(
    `select n, name, head, messages from log where name = $1 ${lock}`,
    [parseLog(id)?.log ?? null],
  )
  return log
}

/** The group of a call that changes it, whose log nobody else writes until the end of the transaction. */
async function lockGroup(work: Work, caller: Caller, id: string): Promise<Group> {
  return getGroup(work, caller, await findGroupLog(work, id, 'for no key update'))
}

/** The group of a call; `unknown_group` to all who are not in it. */
async function getGroup(work: Work, caller: Caller, log: GroupLog | undefined): Promise<Group> {
  if (log === undefined) throw new WochatError('unknown_group')
  const account = await work.findAccount(caller.uid)
  const [row] = await work.query<{ owner: number; members: number }>(
    `select chat_group.owner, chat_group.members
     from membership join chat_group on chat_group.log = membership.log
     where membership.account = $1 and membership.log = $2 and membership.to_seq is null`,
    [account ?? null, log.n],
  )
  if (row === undefined || account === undefined) throw new WochatError('unknown_group')
  return { ...log, ...row, caller: { uid: caller.uid, account } }
}

/** Who of these is a member, each once, in the order given. */
async function findMembers(work: Work, group: GroupLog, uids: readonly string[]): Promise<Person[]> {
  const rows = await work.query<Person>(
    `select account.uid, account.n as account
     from account
     join membership on membership.account = account.n and membership.log = $1 and membership.to_seq is null
     where account.uid = any($2::text[])`,
    [group.n, validUids(uids)],
  )
  const found = new Map(rows.map((row) => [row.uid as string, row]))
  return [...new Set(uids)].flatMap((uid) => found.get(uid) ?? [])
}

type AddableRow = Person & { state: string | null; blocked: number | null }

/** The people behind the uids, if each of them may be added; else `users_refused` with all who may not. */
async function getAddable(work: Work, by: Person, uids: readonly string[]): Promise<Person[]> {
  if (uids.length === 0) return []
  const rows = await work.query<AddableRow>(
    `select account.uid, account.n as account, theirs.state, theirs.blocked
     from account
     left join contact as theirs on theirs.account = account.n and theirs.peer = $1
     where account.uid = any($2::text[])`,
    [by.account, validUids(uids)],
  )
  const found = new Map(rows.map((row) => [row.uid as string, row]))
  const people: Person[] = []
  const refused: { uid: string; code: string }[] = []
  for (const uid of new Set(uids)) {
    const row = found.get(uid)
    const code = row === undefined ? 'unknown_user' : addRefusal(work, row)
    if (row === undefined || code !== null) refused.push({ uid, code: code ?? 'unknown_user' })
    else people.push({ uid: row.uid, account: row.account })
  }
  if (refused.length > 0) throw new WochatError('users_refused', undefined, { details: { users: refused } })
  return people
}

/** What is no uid names nobody; PostgreSQL would not even take U+0000 as text. */
function validUids(uids: readonly string[]): UserId[] {
  return uids.flatMap((uid) => parseUserId(uid) ?? [])
}

function addRefusal(work: Work, { state, blocked }: AddableRow): 'blocked' | 'not_friends' | null {
  // A block does not reach into groups they share, but nobody is pulled into one by somebody they blocked.
  if (blocked === 1) return 'blocked'
  return work.policy.contactsRequired && state !== 'friend' ? 'not_friends' : null
}

// ---------------------------------------------------------------- in and out

async function createGroupLog(work: Work, name: LogId): Promise<GroupLog> {
  const [row] = await work.query<{ n: number }>(
    `insert into log (name, epoch, head, messages, first, last_at) values ($1, 1, 0, 0, 1, $2)
     on conflict (name) do nothing returning n`,
    [name, work.now],
  )
  if (row === undefined) throw new WochatError('id_conflict', 'there is a group of this id')
  return { n: row.n, name, head: 0, messages: 0 }
}

/** Opens windows that begin with the entry that is appended next; what came before counts as read. */
async function letIn(work: Work, group: GroupLog, people: readonly Person[]): Promise<void> {
  const fromSeq = group.head + 1
  const accounts = people.map(({ account }) => account)
  await work.query(
    `insert into membership (account, log, from_seq, to_seq, joined_at)
     select account, $2, $3, null, $4 from unnest($1::bigint[]) as account`,
    [accounts, group.n, fromSeq, work.now],
  )
  await work.query(
    `insert into reader (account, log, read_seq, read_messages, own, read_own)
     select account, $2, $3, $4, 0, 0 from unnest($1::bigint[]) as account
     on conflict (account, log) do update set
       read_seq = greatest(reader.read_seq, excluded.read_seq),
       read_messages = greatest(reader.read_messages, excluded.read_messages), read_own = reader.own`,
    [accounts, group.n, group.head, group.messages],
  )
  for (const { uid } of people) work.feed.push({ kind: 'joined', log: group.name, uid, fromSeq })
  await countMembers(work, group, people.length)
}

/** Closes windows with the entry that was appended last. */
async function letOut(work: Work, group: GroupLog, people: readonly Person[], toSeq: number): Promise<void> {
  await work.query(
    'update membership set to_seq = $1 where log = $2 and account = any($3::bigint[]) and to_seq is null',
    [toSeq, group.n, people.map(({ account }) => account)],
  )
  for (const { uid } of people) work.feed.push({ kind: 'left', log: group.name, uid, toSeq })
  await countMembers(work, group, -people.length)
}

async function countMembers(work: Work, group: GroupLog, change: number): Promise<void> {
  await work.query('update chat_group set members = members + $1 where log = $2', [change, group.n])
}

/** The member who joined first becomes the owner; with nobody left, the group stays with who owned it. */
async function handOver(work: Work, group: Group, caller: Caller): Promise<void> {
  const [heir] = await work.query<Person>(
    `select account.uid, account.n as account
     from membership join account on account.n = membership.account
     where membership.log = $1 and to_seq is null and membership.account <> $2
     order by from_seq, membership.account limit 1`,
    [group.n, group.caller.account],
  )
  if (heir === undefined) return
  await work.query('update chat_group set owner = $1 where log = $2', [heir.account, group.n])
  await append(work, group.name, caller, { type: 'owner', body: { uid: heir.uid } })
}

/** Answers the seq of the entry. */
async function append(work: Work, log: LogId, caller: Caller, { type, body }: GroupEntry): Promise<number> {
  const { seq } = await appendEntry(work, log, {
    kind: 'group',
    uid: caller.uid,
    device: caller.device,
    type,
    bodyJson: JSON.stringify(body),
  })
  return seq
}
