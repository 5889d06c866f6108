/**
 * Groups: who is in, and from where to where of the log. Every change is one entry of the group's log, and that
 * entry's seq opens or closes the windows, so that the audience is fixed by the commit [design: section 11, Windows].
 * No step reads all members, whatever the size of the group.
 */
import { WochatError } from '../../../protocol/errors.ts'
import type { LogId, UserId } from '../../../protocol/ids.ts'
import { LIST_ITEMS_DEFAULT } from '../../../protocol/limits.ts'
import type { Caller, GroupStore } from '../contract.ts'
import type { LogState } from './logs.ts'
import type { Operations } from './operations.ts'
import { appendEntry, once, type Work } from './work.ts'

type Person = { uid: UserId; account: number }

/** A group that the caller is a member of. */
type Group = { state: LogState; owner: number; members: number; caller: Person }

type GroupEntry =
  | { type: 'created'; body: { name: string; owner: UserId; members: UserId[] } }
  | { type: 'added' | 'removed'; body: { members: UserId[] } }
  | { type: 'left' | 'owner'; body: { uid: UserId } }

export const groupOperations: Operations<GroupStore> = {
  createGroup(work, { caller, requestId, name, members = [], log, membersMax }) {
    return once(work, 'groups.create', { caller, requestId, name, members }, () => {
      const owner = { uid: caller.uid, account: work.accounts.ensure(caller.uid, work.now) }
      const others = members.filter((uid) => uid !== owner.uid)
      const people = [owner, ...getAddable(work, owner, others)]
      if (people.length > membersMax) throw new WochatError('too_many_members')
      const state = work.logs.state(log)
      if (state.n !== 0) throw new WochatError('id_conflict', 'there is a group of this id')
      work.logs.create(state, work.now)
      work.db
        .prepare('insert into chat_group (log, name, owner, members, created_at) values (?, ?, ?, 0, ?)')
        .run(state.n, name, owner.account, work.now)
      letIn(work, state, people)
      const body = { name, owner: owner.uid, members: people.map((person) => person.uid) }
      append(work, state, caller, { type: 'created', body })
      return { id: log }
    })
  },

  addMembers(work, { caller, requestId, id, members, membersMax }) {
    return once(work, 'groups.add', { caller, requestId, id, members }, () => {
      // Who comes again is read up to now, and that is counted in the tables.
      work.logs.file()
      const group = getGroup(work, caller, id)
      const news = members.filter((uid) => !isMember(work, group.state, work.accounts.find(uid)))
      const people = getAddable(work, group.caller, news)
      if (group.members + people.length > membersMax) throw new WochatError('too_many_members')
      const added = people.map((person) => person.uid)
      if (added.length === 0) return { added }
      letIn(work, group.state, people)
      append(work, group.state, caller, { type: 'added', body: { members: added } })
      return { added }
    })
  },

  removeMembers(work, { caller, requestId, id, members }) {
    return once(work, 'groups.remove', { caller, requestId, id, members }, () => {
      const group = getGroup(work, caller, id)
      if (group.owner !== group.caller.account) throw new WochatError('not_owner')
      if (members.includes(caller.uid)) throw new WochatError('bad_request', 'members: the owner leaves')
      const people = findMembers(work, group.state, members)
      const removed = people.map((person) => person.uid)
      if (removed.length === 0) return { removed }
      append(work, group.state, caller, { type: 'removed', body: { members: removed } })
      letOut(work, group.state, people)
      return { removed }
    })
  },

  leaveGroup(work, { caller, requestId, id }) {
    return once(work, 'groups.leave', { caller, requestId, id }, () => {
      const group = getGroup(work, caller, id)
      if (group.owner === group.caller.account) handOver(work, group, caller)
      append(work, group.state, caller, { type: 'left', body: { uid: caller.uid } })
      letOut(work, group.state, [group.caller])
      return {}
    })
  },

  groups(work, uid) {
    const account = work.accounts.find(uid)
    if (account === undefined) return { items: [] }
    const { sql } = work.db
    const rows = work.db.all(
      sql
        .selectFrom('membership')
        .innerJoin('chat_group', 'chat_group.log', 'membership.log')
        .innerJoin('log', 'log.n', 'membership.log')
        .select(['log.name as id', 'chat_group.name', 'chat_group.owner', 'chat_group.members'])
        .select('membership.joined_at as joinedAt')
        .where('membership.account', '=', account)
        .where('membership.to_seq', 'is', null)
        .orderBy('membership.log'),
    )
    return { items: rows.map((row) => ({ ...row, owner: work.accounts.uidOf(row.owner) })) }
  },

  members(work, { caller, id, limit = LIST_ITEMS_DEFAULT, cursor }) {
    const group = getGroup(work, caller, id)
    const after = cursor === undefined ? { fromSeq: 0, account: 0 } : parseMembersCursor(work, cursor)
    const rows = work.db
      .prepare(
        `select account, from_seq, joined_at from membership
         where log = ? and to_seq is null and (from_seq, account) > (?, ?)
         order by from_seq, account limit ?`,
      )
      .all(group.state.n, after.fromSeq, after.account, limit + 1) as MemberRow[]
    const page = rows.slice(0, limit).map((row) => ({ ...row, uid: work.accounts.uidOf(row.account) }))
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

type MemberRow = { account: number; from_seq: number; joined_at: number }

function parseMembersCursor(work: Work, cursor: string): { fromSeq: number; account: number } {
  const [, fromSeq, uid] = /^(\d{1,15})\.(.+)$/.exec(cursor) ?? []
  const account = uid === undefined ? undefined : work.accounts.find(uid)
  if (account === undefined) throw new WochatError('bad_request', 'cursor: not one of this operation')
  return { fromSeq: Number(fromSeq), account }
}

// ---------------------------------------------------------------- looking up

/** The group of a call; `unknown_group` to all who are not in it. */
function getGroup(work: Work, caller: Caller, id: string): Group {
  const account = work.accounts.find(caller.uid)
  const state = work.logs.state(id as LogId)
  if (account === undefined || !isMember(work, state, account)) throw new WochatError('unknown_group')
  const row = work.db.prepare('select owner, members from chat_group where log = ?').get(state.n) as
    | { owner: number; members: number }
    | undefined
  if (row === undefined) throw new WochatError('unknown_group')
  return { state, ...row, caller: { uid: caller.uid, account } }
}

function isMember(work: Work, state: LogState, account: number | undefined): boolean {
  if (account === undefined || state.n === 0) return false
  const open = 'select 1 from membership where account = ? and log = ? and to_seq is null'
  return work.db.prepare(open).get(account, state.n) !== undefined
}

function findMembers(work: Work, state: LogState, uids: readonly string[]): Person[] {
  return [...new Set(uids)].flatMap((uid) => {
    const account = work.accounts.find(uid)
    if (account === undefined || !isMember(work, state, account)) return []
    return [{ uid: uid as UserId, account }]
  })
}

/** The people behind the uids, if each of them may be added; else `users_refused` with all who may not. */
function getAddable(work: Work, by: Person, uids: readonly string[]): Person[] {
  const people: Person[] = []
  const refused: { uid: string; code: string }[] = []
  for (const uid of new Set(uids)) {
    const account = work.accounts.find(uid)
    const code = account === undefined ? 'unknown_user' : addRefusal(work, by.account, account)
    if (account === undefined || code !== null) refused.push({ uid, code: code ?? 'unknown_user' })
    else people.push({ uid: uid as UserId, account })
  }
  if (refused.length > 0) throw new WochatError('users_refused', undefined, { details: { users: refused } })
  return people
}

function addRefusal(work: Work, by: number, account: number): 'blocked' | 'not_friends' | null {
  const theirs = work.db
    .prepare('select state, blocked from contact where account = ? and peer = ?')
    .get(account, by) as { state: string; blocked: number } | undefined
  // A block does not reach into groups they share, but nobody is pulled into one by somebody they blocked.
  if (theirs?.blocked === 1) return 'blocked'
  return work.policy.contactsRequired && theirs?.state !== 'friend' ? 'not_friends' : null
}

// ---------------------------------------------------------------- in and out

/** Opens windows that begin with the entry that is appended next. */
function letIn(work: Work, state: LogState, people: readonly Person[]): void {
  const fromSeq = state.head + 1
  for (const { uid, account } of people) {
    work.logs.admit(state, account, fromSeq, work.now)
    work.feed.push({ kind: 'joined', log: state.name, uid, fromSeq })
  }
  countMembers(work, state, people.length)
}

/** Closes windows with the entry that was appended last. */
function letOut(work: Work, state: LogState, people: readonly Person[]): void {
  const close = work.db.prepare(
    'update membership set to_seq = ? where account = ? and log = ? and to_seq is null',
  )
  for (const { uid, account } of people) {
    close.run(state.head, account, state.n)
    work.logs.recheckWriter(state.name, uid)
    work.feed.push({ kind: 'left', log: state.name, uid, toSeq: state.head })
  }
  countMembers(work, state, -people.length)
}

function countMembers(work: Work, state: LogState, change: number): void {
  work.db.prepare('update chat_group set members = members + ? where log = ?').run(change, state.n)
}

/** The member who joined first becomes the owner; with nobody left, the group stays with who owned it. */
function handOver(work: Work, { state, caller: owner }: Group, caller: Caller): void {
  const heir = work.db
    .prepare(
      `select account from membership where log = ? and to_seq is null and account <> ?
       order by from_seq, account limit 1`,
    )
    .get(state.n, owner.account) as { account: number } | undefined
  if (heir === undefined) return
  work.db.prepare('update chat_group set owner = ? where log = ?').run(heir.account, state.n)
  append(work, state, caller, { type: 'owner', body: { uid: work.accounts.uidOf(heir.account) } })
}

function append(work: Work, state: LogState, caller: Caller, { type, body }: GroupEntry): void {
  appendEntry(work, state.name, {
    kind: 'group',
    uid: caller.uid,
    device: caller.device,
    type,
    bodyJson: JSON.stringify(body),
  })
}
