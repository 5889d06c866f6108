/** Who waits to join a group, and what its admins decide. */
import { WochatError } from '../../../../protocol/errors.ts'
import { LIST_ITEMS_DEFAULT } from '../../../../protocol/limits.ts'
import type { Caller } from '../../contract.ts'
import type { StoredOperations } from '../stored.ts'
import type { Person, Transaction } from '../transaction.ts'
import {
  accountOfCursor,
  assertAdmin,
  badCursor,
  type Group,
  getGroup,
  lockGroup,
  lockPeople,
  type MyGroup,
} from './lookup.ts'
import { assertRoomFor, findAdmins, letIn, notify } from './membership.ts'

/** People who wait to join one group. */
const REQUESTS_MAX = 1000

type RequestRow = { uid: string; at: number; text: string | null; invitedBy: string | null }

export const groupRequestOperations: StoredOperations<
  'groups.requests' | 'groups.approve' | 'groups.reject'
> = {
  async 'groups.requests'(tx, { caller, id, limit = LIST_ITEMS_DEFAULT, cursor }) {
    const group = await getGroup(tx, caller, id)
    assertAdmin(group)
    const after = await parseCursor(tx, cursor)
    const rows = await tx.query<RequestRow>(
      `select account.uid, page.asked_at as at, page.text, inviter.uid as "invitedBy" from (
         select * from join_request
         where log = $1 and (asked_at, account) > ($2, $3) order by asked_at, account limit $4
       ) as page
       join account on account.n = page.account
       left join account as inviter on inviter.n = page.invited_by
       order by page.asked_at, page.account`,
      [group.log.n, after.at, after.account, limit + 1],
    )
    const page = rows.slice(0, limit)
    const last = page.at(-1)
    return {
      items: page.map(({ uid, at, text, invitedBy }) => ({
        uid,
        at,
        ...(text !== null && { text }),
        ...(invitedBy !== null && { invitedBy }),
      })),
      ...(rows.length > limit && { cursor: `${last!.at}.${last!.uid}` }),
    }
  },

  async 'groups.approve'(tx, { caller, id, uid }) {
    const named = await lockPeople(tx, caller, [uid])
    const group = await lockGroup(tx, caller, id)
    assertAdmin(group)
    const person = await getWaiting(tx, group, named)
    assertRoomFor(tx, group, 1)
    await letIn(tx, caller, group, [person], 'joined', { uid: person.uid, by: caller.uid })
    return {}
  },

  async 'groups.reject'(tx, { caller, id, uid }) {
    const named = await lockPeople(tx, caller, [uid])
    const group = await lockGroup(tx, caller, id)
    assertAdmin(group)
    const person = await getWaiting(tx, group, named)
    await tx.query('delete from join_request where log = $1 and account = $2', [group.log.n, person.account])
    await notify(tx, caller, [person], 'joinRejected', { group: group.log.name, name: group.name })
    return {}
  },
}

async function getWaiting(tx: Transaction, { log }: MyGroup, [person]: readonly Person[]): Promise<Person> {
  if (person === undefined || !(await isWaiting(tx, log.n, person))) throw new WochatError('no_join_request')
  return person
}

export async function isWaiting(tx: Transaction, log: number, { account }: Person): Promise<boolean> {
  const row = await tx.first('select 1 from join_request where log = $1 and account = $2', [log, account])
  return row !== undefined
}

async function parseCursor(
  tx: Transaction,
  cursor: string | undefined,
): Promise<{ at: number; account: number }> {
  if (cursor === undefined) return { at: 0, account: 0 }
  const [, at, uid] = /^(\d{1,15})\.(.+)$/.exec(cursor) ?? []
  if (at === undefined) throw badCursor()
  return { at: Number(at), account: await accountOfCursor(tx, uid) }
}

/** People whom a member wants to add wait for an admin. */
export async function inviteToWait(
  tx: Transaction,
  caller: Caller,
  group: MyGroup,
  people: readonly Person[],
): Promise<void> {
  await wait(tx, caller, group, people, { text: null, invitedBy: group.me.account })
}

/** The caller asks to be let in. */
export async function askToJoin(
  tx: Transaction,
  caller: Caller,
  group: Group,
  person: Person,
  text: string | null,
): Promise<void> {
  await wait(tx, caller, group, [person], { text, invitedBy: null })
}

async function wait(
  tx: Transaction,
  caller: Caller,
  group: Group,
  people: readonly Person[],
  { text, invitedBy }: { text: string | null; invitedBy: number | null },
): Promise<void> {
  const { log, name } = group
  const { count } = (await tx.first<{ count: number }>(
    'select count(*) as count from join_request where log = $1',
    [log.n],
  ))!
  if (count + people.length > REQUESTS_MAX) throw new WochatError('too_many_requests')
  const news = await tx.query<{ account: number }>(
    `insert into join_request (log, account, text, invited_by, asked_at)
     select cast($1 as bigint), value, $3, cast($4 as bigint), cast($5 as bigint) from ${tx.list('$2', 'number')} as news where true
     on conflict (log, account) do nothing returning account`,
    [log.n, people.map(({ account }) => account), text, invitedBy, tx.now],
  )
  if (news.length === 0) return
  const isNew = new Set(news.map(({ account }) => account))
  const members = people.filter(({ account }) => isNew.has(account)).map(({ uid }) => uid)
  await notify(tx, caller, await findAdmins(tx, group), 'joinRequested', {
    group: log.name,
    name,
    members,
    ...(text !== null && { text }),
  })
}
