/** The groups of one person: the list, and what changed in it since a version. */
import type { Result } from '../../../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import { LIST_ITEMS_DEFAULT } from '../../../../protocol/limits.ts'
import { changedSince } from '../changes.ts'
import type { StoredOperations } from '../stored.ts'
import type { Transaction } from '../transaction.ts'
import { badCursor, type Role } from './lookup.ts'

/** A change of a group becomes visible at most this long after its time, when its transaction took that long. */
const LATE_MS = 60_000

export type Item = Result<'groups.list'>['items'][number]

type ItemRow = {
  log: number
  id: string
  kind: string
  name: string
  avatar: string | null
  owner: string
  members: number
  role: Role
  nickname: string | null
  mutedUntil: number | null
  joinedAt: number
  changedAt: number
}

const ITEM_COLUMNS = `membership.log, log.name as id, chat_group.kind, chat_group.name, chat_group.avatar,
  owner.uid as owner, chat_group.members, membership.role, membership.nickname,
  membership.muted_until as "mutedUntil", membership.joined_at as "joinedAt", chat_group.changed_at as "changedAt"`

const ITEM_TABLES = `membership
  join chat_group on chat_group.log = membership.log and chat_group.dissolved_at is null
  join log on log.n = membership.log
  join account as owner on owner.n = chat_group.owner`

export const groupListOperations: StoredOperations<'groups.list' | 'groups.changes'> = {
  async 'groups.list'(tx, { caller, limit = LIST_ITEMS_DEFAULT, cursor }) {
    const account = await tx.findAccount(caller.uid)
    if (account === undefined) return { items: [] }
    const after = cursor === undefined ? 0 : (await tx.findLog(cursor))?.n
    if (after === undefined) throw badCursor()
    const rows = await tx.query<ItemRow>(
      `select ${ITEM_COLUMNS} from ${ITEM_TABLES}
       where membership.account = $1 and membership.to_seq is null and membership.log > $2
       order by membership.log limit $3`,
      [account, after, limit + 1],
    )
    const page = rows.slice(0, limit)
    return {
      items: page.map(itemOf),
      ...(rows.length > limit && { cursor: page.at(-1)!.id }),
    }
  },

  /**
   * What happened to the person in a group has a row under a version of the account. What happened to a group has none
   * for each of its members: it is found by its time, from a moment before the last answer on.
   */
  async 'groups.changes'(tx, { caller, since, limit = LIST_ITEMS_DEFAULT }) {
    const account = await tx.findAccount(caller.uid)
    const from = since === undefined ? await everything(tx, account) : parsePosition(since)
    if (account === undefined) return { items: [], gone: [], version: buildPosition(from), more: false }
    const mine = await changedSince(tx, account, 'groups', from.version, limit)
    const logs = await findLogs(tx, mine.keys)
    const items = await readItems(tx, account, [...logs.values()])
    const here = new Set(items.map(({ id }) => id))
    const gone = mine.keys.filter((id) => !here.has(id))
    const next = { ...from, version: mine.version }
    if (mine.more) return { items: items.map(itemOf), gone, version: buildPosition(next), more: true }
    const asOf = from.asOf ?? tx.now
    const changed = await readChanged(tx, account, from, limit)
    const last = changed.rows.at(-1)
    const version = changed.more
      ? { ...next, asOf, at: last!.changedAt, log: last!.log }
      : { ...next, asOf: null, at: Math.max(0, asOf - LATE_MS), log: 0 }
    const others = changed.rows.filter(({ id }) => !here.has(id))
    return {
      items: [...items, ...others].map(itemOf),
      gone,
      version: buildPosition(version),
      more: changed.more,
    }
  },
}

export function itemOf(row: ItemRow): Item {
  const { id, kind, name, avatar, owner, members, role, nickname, joinedAt } = row
  return {
    id,
    kind,
    name,
    ...(avatar !== null && { avatar }),
    owner,
    members,
    role,
    ...(nickname !== null && { nickname }),
    joinedAt,
  }
}

/** Those of these groups that the account is in. */
export async function readItems(
  tx: Transaction,
  account: number,
  logs: readonly number[],
): Promise<ItemRow[]> {
  return tx.query<ItemRow>(
    `select ${ITEM_COLUMNS} from ${ITEM_TABLES}
     where (membership.account, membership.log) in
       (select cast($1 as bigint), value from ${tx.list('$2', 'number')} as wanted)
       and membership.to_seq is null
     order by membership.log`,
    [account, logs],
  )
}

async function findLogs(tx: Transaction, ids: readonly string[]): Promise<Map<string, number>> {
  const rows = await tx.query<{ id: string; n: number }>(
    `select name as id, n from log where name in ${tx.list('$1', 'text')}`,
    [ids],
  )
  return new Map(rows.map(({ id, n }) => [id, n]))
}

async function readChanged(
  tx: Transaction,
  account: number,
  { at, log }: Position,
  limit: number,
): Promise<{ rows: ItemRow[]; more: boolean }> {
  const rows = await tx.query<ItemRow>(
    `select ${ITEM_COLUMNS} from ${ITEM_TABLES}
     where membership.account = $1 and membership.to_seq is null
       and (chat_group.changed_at, chat_group.log) > ($2, $3)
     order by chat_group.changed_at, chat_group.log limit $4`,
    [account, at, log, limit + 1],
  )
  return { rows: rows.slice(0, limit), more: rows.length > limit }
}

// ---------------------------------------------------------------- the version of a device

/**
 * How far a device knows its groups: versions of the account up to `version`, and groups that changed before `at`
 * (of the same time: up to `log`). `asOf`: when the first of several pages was read.
 */
type Position = { version: number; at: number; log: number; asOf: number | null }

/** Before all groups, and after all that happened to the account. */
async function everything(tx: Transaction, account: number | undefined): Promise<Position> {
  const row = await tx.first<{ version: number }>('select version from account where n = $1', [
    account ?? null,
  ])
  return { version: row?.version ?? 0, at: -1, log: 0, asOf: null }
}

const buildPosition = ({ version, at, log, asOf }: Position): string =>
  `${version}.${at}.${log}${asOf === null ? '' : `.${asOf}`}`

function parsePosition(text: string): Position {
  const [, version, at, log, asOf] =
    /^(\d{1,15})\.(-1|\d{1,15})\.(\d{1,15})(?:\.(\d{1,15}))?$/.exec(text) ?? []
  if (version === undefined) throw new WochatError('bad_request', 'since: not a version of this operation')
  return {
    version: Number(version),
    at: Number(at),
    log: Number(log),
    asOf: asOf === undefined ? null : Number(asOf),
  }
}
