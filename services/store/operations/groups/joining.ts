/** Coming in by oneself: links of groups, and open rooms. */
import { randomBytes } from 'node:crypto'
import { WochatError } from '../../../../protocol/errors.ts'
import type { Caller } from '../../contract.ts'
import type { StoredOperations } from '../stored.ts'
import type { Person, Transaction } from '../transaction.ts'
import { findBanned } from './adding.ts'
import {
  assertAdmin,
  assertInvites,
  findMembers,
  type Group,
  getGroup,
  lockAnyGroup,
  lockGroup,
} from './lookup.ts'
import { assertRoomFor, letIn } from './membership.ts'
import { askToJoin, isWaiting } from './requests.ts'

/** Links of one group. */
const LINKS_MAX = 100
const TOKEN_BYTES = 16

type LinkRow = {
  token: string
  by: string
  at: number
  uses: number
  usesMax: number | null
  expiresAt: number | null
}

type Names = 'groups.createLink' | 'groups.links' | 'groups.endLink' | 'groups.join'

export const groupJoiningOperations: StoredOperations<Names> = {
  async 'groups.createLink'(tx, { caller, id, expiresAt, usesMax }) {
    const group = await lockGroup(tx, caller, id)
    assertInvites(group)
    if (expiresAt !== undefined && expiresAt <= tx.now) {
      throw new WochatError('bad_request', 'expiresAt: is over')
    }
    const { log, me } = group
    await tx.query('delete from group_link where log = $1 and expires_at <= $2', [log.n, tx.now])
    const { count } = (await tx.first<{ count: number }>(
      'select count(*) as count from group_link where log = $1',
      [log.n],
    ))!
    if (count >= LINKS_MAX) throw new WochatError('too_many_links')
    const token = randomBytes(TOKEN_BYTES).toString('base64url')
    await tx.query(
      `insert into group_link (token, log, made_by, made_at, expires_at, uses_max, uses)
       values ($1, $2, $3, $4, $5, $6, 0)`,
      [token, log.n, me.account, tx.now, expiresAt ?? null, usesMax ?? null],
    )
    return { token }
  },

  async 'groups.links'(tx, { caller, id }) {
    const { log, me } = await getGroup(tx, caller, id)
    const rows = await tx.query<LinkRow>(
      `select link.token, account.uid as by, link.made_at as at, link.uses, link.uses_max as "usesMax",
         link.expires_at as "expiresAt"
       from group_link as link join account on account.n = link.made_by
       where link.log = $1 and (link.expires_at is null or link.expires_at > $2)
       order by link.made_at, link.token limit $3`,
      [log.n, tx.now, LINKS_MAX],
    )
    const visible = rows.filter(({ by }) => me.role !== 'member' || by === me.uid)
    return {
      items: visible.map(({ usesMax, expiresAt, ...link }) => ({
        ...link,
        ...(usesMax !== null && { usesMax }),
        ...(expiresAt !== null && { expiresAt }),
      })),
    }
  },

  async 'groups.endLink'(tx, { caller, token }) {
    const link = await findLink(tx, token)
    if (link === undefined) throw new WochatError('link_ended')
    // To somebody else the link says nothing about its group.
    const group = await lockGroup(tx, caller, link.group).catch(asEnded)
    if (link.madeBy !== group.me.account) assertAdmin(group)
    await tx.query('delete from group_link where token = $1', [token])
    return {}
  },

  async 'groups.join'(tx, { caller, token, id, text }) {
    if ((token === undefined) === (id === undefined)) {
      throw new WochatError('bad_request', 'either token or id')
    }
    if (token === undefined) {
      await joinRoom(tx, caller, id!)
      return { id: id!, state: 'joined' as const }
    }
    const me = await lockMe(tx, caller)
    const link = await findLink(tx, token)
    const group = link === undefined ? undefined : await lockAnyGroup(tx, link.group)
    // Looked at again under the lock: its uses are counted there.
    const open = group === undefined ? undefined : await findLink(tx, token)
    if (group === undefined || open === undefined) throw new WochatError('link_ended')
    const joined = { id: group.log.name as string, state: 'joined' as const }
    const waiting = { ...joined, state: 'waiting' as const }
    if (await isIn(tx, group, me)) return joined
    if (await isWaiting(tx, group.log.n, me)) return waiting
    if (open.usesMax !== null && open.uses >= open.usesMax) throw new WochatError('link_used_up')
    await assertNotBanned(tx, group, me)
    assertKeepsMembers(group)
    if (group.approval === 0) assertRoomFor(tx, group, 1)
    await tx.query('update group_link set uses = uses + 1 where token = $1', [token])
    if (group.approval === 1) {
      await askToJoin(tx, caller, group, me, text ?? null)
      return waiting
    }
    await letIn(tx, caller, group, [me], 'joined', { uid: me.uid })
    return joined
  },
}

/** Joins an open room; who is in already stays in. */
export async function joinRoom(tx: Transaction, caller: Caller, id: string): Promise<void> {
  const me = await lockMe(tx, caller)
  const group = await lockAnyGroup(tx, id)
  if (group?.kind !== 'room') throw new WochatError('unknown_group')
  if (await isIn(tx, group, me)) return
  await assertNotBanned(tx, group, me)
  assertKeepsMembers(group)
  assertRoomFor(tx, group, 1)
  await letIn(tx, caller, group, [me], 'joined', { uid: me.uid })
}

/** A room that keeps no entries has nobody in it but who is connected. */
function assertKeepsMembers({ keepsEntries }: Pick<Group, 'keepsEntries'>): void {
  if (keepsEntries === 0) throw new WochatError('connection_required', 'join it by rooms.join')
}

async function lockMe(tx: Transaction, { uid }: Caller): Promise<Person> {
  const account = await tx.ensureAccount(uid)
  await tx.lockAccounts([account])
  return { uid, account }
}

const isIn = async (tx: Transaction, group: Group, me: Person): Promise<boolean> =>
  (await findMembers(tx, group, [me])).length > 0

async function assertNotBanned(tx: Transaction, group: Group, me: Person): Promise<void> {
  if ((await findBanned(tx, group, [me])).size > 0) throw new WochatError('banned')
}

type Link = { group: string; madeBy: number; uses: number; usesMax: number | null }

/** A link that is not over. */
async function findLink(tx: Transaction, token: string): Promise<Link | undefined> {
  return tx.first<Link>(
    `select log.name as "group", group_link.made_by as "madeBy", group_link.uses, group_link.uses_max as "usesMax"
     from group_link join log on log.n = group_link.log
     where group_link.token = $1 and (group_link.expires_at is null or group_link.expires_at > $2)`,
    [token, tx.now],
  )
}

function asEnded(): never {
  throw new WochatError('link_ended')
}
