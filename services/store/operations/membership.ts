/**
 * In and out of a group: every change is one entry of its log, and that entry's seq opens or closes the windows, so
 * that the audience is fixed by the commit. No step reads all members, whatever the size of the group.
 */
import { WochatError } from '../../../protocol/errors.ts'
import type { Caller } from '../contract.ts'
import { touchEach } from './changes.ts'
import { findPeople, type Group } from './group-lookup.ts'
import type { Person, Transaction } from './transaction.ts'

type Log = Pick<Group, 'log'>

/** Opens windows that begin with the entry that is appended next. */
export async function letIn(tx: Transaction, { log }: Log, people: readonly Person[]): Promise<void> {
  await tx.letIn(log, people, log.head + 1)
  await countMembers(tx, log.n, people.length)
  await touchGroup(tx, log.name, people)
}

/** Closes windows with an entry that was appended. */
export async function letOut(
  tx: Transaction,
  { log }: Log,
  people: readonly Person[],
  toSeq: number,
): Promise<void> {
  await tx.letOut(log, people, toSeq)
  await countMembers(tx, log.n, -people.length)
  await touchGroup(tx, log.name, people)
}

async function countMembers(tx: Transaction, log: number, change: number): Promise<void> {
  await tx.query('update chat_group set members = members + $1 where log = $2', [change, log])
}

/** Tells the devices of these people that what they are in the group has changed. */
export function touchGroup(tx: Transaction, id: string, people: readonly Person[]): Promise<void> {
  return touchEach(
    tx,
    people.map(({ account }) => account),
    'groups',
    id,
  )
}

/** Appends an entry that says what the caller did, with its seq. */
export async function tellGroup(
  tx: Transaction,
  caller: Caller,
  { log }: Log,
  type: GroupEntryType,
  body: object,
): Promise<number> {
  const { uid, device } = caller
  const { seq } = await tx.append(log.name, { kind: 'group', uid, device, type, body })
  return seq
}

export type GroupEntryType = 'created' | 'added' | 'removed' | 'left' | 'owner'

// ---------------------------------------------------------------- who may be added

type Refusal = { uid: string; code: 'unknown_user' | 'blocked' | 'not_friends' }

/** The people behind the uids, if each of them may be added; else `users_refused` with all who may not. */
export async function getAddable(tx: Transaction, by: Person, uids: readonly string[]): Promise<Person[]> {
  if (uids.length === 0) return []
  const people = await findPeople(tx, uids)
  const rows = await tx.query<{ account: number; state: string; blocked: number }>(
    `select contact.account, contact.state, contact.blocked
     from ${tx.list('$2', 'number')} as wanted
     cross join contact where contact.account = wanted.value and contact.peer = $1`,
    [by.account, people.map(({ account }) => account)],
  )
  const theirs = new Map(rows.map((row) => [row.account, row]))
  const accounts = new Map<string, number>(people.map(({ uid, account }) => [uid, account]))
  const refused = [...new Set(uids)].flatMap((uid): Refusal[] => {
    const account = accounts.get(uid)
    if (account === undefined) return [{ uid, code: 'unknown_user' }]
    const contact = theirs.get(account)
    // A block does not reach into groups they share, but nobody is pulled into one by somebody they blocked.
    if (contact?.blocked === 1) return [{ uid, code: 'blocked' }]
    if (tx.policy.contactsRequired && contact?.state !== 'friend') return [{ uid, code: 'not_friends' }]
    return []
  })
  if (refused.length > 0) throw new WochatError('users_refused', undefined, { details: { users: refused } })
  return people
}
