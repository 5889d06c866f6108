/**
 * The end of a group. It is over at once: nobody sees it in a list, comes or writes. Its members are let out in steps,
 * because windows of 100,000 people are too much for one transaction; the last entry that all of them get says why.
 */
import type { Caller } from '../../contract.ts'
import type { StoredOperations } from '../stored.ts'
import type { LogFacts, Person, Transaction } from '../transaction.ts'
import { assertOwner, findMembers, getGroup, lockGroup, type MyGroup } from './lookup.ts'
import { closeWindows, findAdmins, setRole, tellGroup } from './membership.ts'

/** Members let out by one transaction: some 20 ms of the store. */
export const LET_OUT_EACH = 500

export const groupDissolvingOperations: StoredOperations<'groups.dissolve'> = {
  async 'groups.dissolve'(tx, { caller, id }) {
    const found = await getGroup(tx, caller, id)
    assertOwner(found)
    const first = await lockSome(tx, found.log, [found.me])
    const group = await lockGroup(tx, caller, id)
    assertOwner(group)
    await dissolve(tx, caller, group)
    await closeWindows(tx, group, await findMembers(tx, group, first))
    return {}
  },
}

/** Ends a group that the caller has locked; who is in it is to be let out. */
export async function dissolve(tx: Transaction, caller: Caller, group: MyGroup): Promise<void> {
  const { log } = group
  await tx.query('update chat_group set dissolved_at = $2, changed_at = $2 where log = $1', [log.n, tx.now])
  for (const table of ['group_link', 'join_request', 'group_ban']) {
    await tx.query(`delete from ${table} where log = $1`, [log.n])
  }
  await silence(tx, group)
  await tellGroup(tx, caller, group, 'dissolved', {})
}

/** Whether a dissolved group still has members. */
export const DISSOLVED_WAIT = `(
  select min(log) from chat_group where dissolved_at is not null and members > 0) is not null`

export const groupDissolvingTasks = {
  /** Lets some members of a dissolved group out; answers how many. */
  async letOutOfDissolved(tx: Transaction, _input: Record<string, never>): Promise<number> {
    const found = await tx.first<{ id: string }>(
      `select log.name as id from chat_group join log on log.n = chat_group.log
       where chat_group.dissolved_at is not null and chat_group.members > 0 limit 1`,
    )
    const unlocked = found === undefined ? undefined : await tx.findLog(found.id)
    if (unlocked === undefined) return 0
    const people = await lockSome(tx, unlocked, [])
    const group = { log: (await tx.lockLog(unlocked.name))! }
    const members = await findMembers(tx, group, people)
    await closeWindows(tx, group, members)
    return members.length
  },
}

/** Members, as many as one step takes, locked together with `others`: accounts come before the log. */
async function lockSome(tx: Transaction, log: LogFacts, others: readonly Person[]): Promise<Person[]> {
  const people = await tx.query<Person>(
    `select account.uid, page.account from (
       select account from membership where log = $1 and to_seq is null order by from_seq, account limit $2
     ) as page join account on account.n = page.account`,
    [log.n, LET_OUT_EACH],
  )
  await tx.lockAccounts([...people, ...others].map(({ account }) => account))
  return people
}

/** Nobody writes any more while windows are still open. */
async function silence(tx: Transaction, group: MyGroup): Promise<void> {
  await tx.query(`update chat_group set who_writes = 'admins' where log = $1`, [group.log.n])
  for (const admin of await findAdmins(tx, group)) await setRole(tx, group, admin, 'member')
  tx.writersChanged(group.log.name)
}
