/** Who is kept out of a group. */
import { WochatError } from '../../../../protocol/errors.ts'
import { LIST_ITEMS_DEFAULT } from '../../../../protocol/limits.ts'
import type { StoredOperations } from '../stored.ts'
import { findBanned } from './adding.ts'
import {
  accountOfCursor,
  assertAdmin,
  assertOutranks,
  findMembers,
  getGroup,
  lockGroup,
  lockPeople,
} from './lookup.ts'
import { letOut, tellGroup } from './membership.ts'

/** Of one group, those that are over among them. */
const BANS_MAX = 10_000
/** Bans that are over and are deleted with each new one. */
const BANS_FORGOTTEN_EACH = 10

type BanRow = { uid: string; by: string; at: number; reason: string | null; until: number | null }

export const groupBanOperations: StoredOperations<'groups.ban' | 'groups.unban' | 'groups.bans'> = {
  async 'groups.ban'(tx, { caller, id, uid, reason, until }) {
    const [person] = await lockPeople(tx, caller, [uid])
    const group = await lockGroup(tx, caller, id)
    assertAdmin(group)
    if (uid === caller.uid) throw new WochatError('bad_request', 'uid: yourself')
    if (until !== undefined && until <= tx.now) throw new WochatError('bad_request', 'until: is over')
    if (person === undefined) throw new WochatError('unknown_user')
    const members = await findMembers(tx, group, [person])
    assertOutranks(group, members)
    const { log } = group
    const others = await tx.first<{ count: number }>(
      'select count(*) as count from group_ban where log = $1 and account <> $2',
      [log.n, person.account],
    )
    if (others!.count >= BANS_MAX) throw new WochatError('too_many_bans')
    await tx.query(
      `insert into group_ban (log, account, banned_by, reason, banned_at, until) values ($1, $2, $3, $4, $5, $6)
       on conflict (log, account) do update set
         banned_by = excluded.banned_by, reason = excluded.reason,
         banned_at = excluded.banned_at, until = excluded.until`,
      [log.n, person.account, group.me.account, reason ?? null, tx.now, until ?? null],
    )
    await tx.query(
      `delete from group_ban where (log, account) in
         (select log, account from group_ban where log = $1 and until < $2 limit $3)`,
      [log.n, tx.now, BANS_FORGOTTEN_EACH],
    )
    await tx.query('delete from join_request where log = $1 and account = $2', [log.n, person.account])
    const body = { uid, ...(until !== undefined && { until }) }
    if (members.length > 0) await letOut(tx, caller, group, members, 'banned', body)
    else await tellGroup(tx, caller, group, 'banned', body)
    return {}
  },

  async 'groups.unban'(tx, { caller, id, uid }) {
    const [person] = await lockPeople(tx, caller, [uid])
    const group = await lockGroup(tx, caller, id)
    assertAdmin(group)
    if (person === undefined) return {}
    const wasBanned = (await findBanned(tx, group, [person])).has(person.account)
    await tx.query('delete from group_ban where log = $1 and account = $2', [group.log.n, person.account])
    if (wasBanned) await tellGroup(tx, caller, group, 'unbanned', { uid })
    return {}
  },

  async 'groups.bans'(tx, { caller, id, limit = LIST_ITEMS_DEFAULT, cursor }) {
    const group = await getGroup(tx, caller, id)
    assertAdmin(group)
    const after = cursor === undefined ? 0 : await accountOfCursor(tx, cursor)
    const rows = await tx.query<BanRow>(
      `select account.uid, admin.uid as by, page.banned_at as at, page.reason, page.until from (
         select * from group_ban
         where log = $1 and account > $2 and (until is null or until > $3) order by account limit $4
       ) as page
       join account on account.n = page.account
       join account as admin on admin.n = page.banned_by
       order by page.account`,
      [group.log.n, after, tx.now, limit + 1],
    )
    const page = rows.slice(0, limit)
    return {
      items: page.map(({ uid, by, at, reason, until }) => ({
        uid,
        by,
        at,
        ...(reason !== null && { reason }),
        ...(until !== null && { until }),
      })),
      ...(rows.length > limit && { cursor: page.at(-1)!.uid }),
    }
  },
}
