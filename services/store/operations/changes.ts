/**
 * What changed for a person since a version, so that their devices ask for changes and not for everything.
 *
 * Every account has a counter; an item that changes gets its next value. Two changes of one account wait for each
 * other, so that versions become visible in their order, and a device that asks with the last version it was given
 * misses none.
 */
import type { UserId } from '../../../protocol/ids.ts'
import type { ChangeScope } from '../../../protocol/reply.ts'
import type { Transaction } from './transaction.ts'

/**
 * Notes that items of an account changed in this transaction, and tells its devices that are there. Of several accounts:
 * in the order of their numbers. The key of an item: a uid, a log, a group, the name of a setting.
 */
export async function touch(
  tx: Transaction,
  account: number,
  scope: ChangeScope,
  ...keys: readonly string[]
): Promise<void> {
  const { uid, version } = (await tx.first<VersionRow>(
    'update account set version = version + 1 where n = $1 returning uid, version',
    [account],
  ))!
  for (const key of keys) {
    await tx.query(
      `insert into change (account, scope, key, version) values ($1, $2, $3, $4)
       on conflict (account, scope, key) do update set version = excluded.version`,
      [account, scope, key, version],
    )
  }
  tx.stateChanged(uid, scope, version)
}

type VersionRow = { uid: UserId; version: number }

/** {@link touch} of one item for many accounts, which are locked before. */
export async function touchEach(
  tx: Transaction,
  accounts: readonly number[],
  scope: ChangeScope,
  key: string,
): Promise<void> {
  const versions = await tx.query<VersionRow>(
    `update account set version = version + 1 where n in ${tx.list('$1', 'number')} returning uid, version`,
    [accounts],
  )
  await tx.query(
    `insert into change (account, scope, key, version)
     select n, $2, $3, version from account where n in ${tx.list('$1', 'number')}
     on conflict (account, scope, key) do update set version = excluded.version`,
    [accounts, scope, key],
  )
  for (const { uid, version } of versions) tx.stateChanged(uid, scope, version)
}

export type ChangedKeys = {
  /** In the order of their changes; the last ones of a page may share a version with nobody left behind. */
  keys: string[]
  /** What the device asks with next. */
  version: number
  /** There is more after `version`. */
  more: boolean
}

/** Keys of one scope that changed after `since`, at most some `limit`: all of one version come together. */
export async function changedSince(
  tx: Transaction,
  account: number,
  scope: ChangeScope,
  since: number,
  limit: number,
): Promise<ChangedKeys> {
  const rows = await tx.query<{ key: string; version: number }>(
    `select key, version from change where account = $1 and scope = $2 and version > $3
     order by version, key limit $4`,
    [account, scope, since, limit + 1],
  )
  if (rows.length <= limit) {
    const last = rows.at(-1)
    return { keys: rows.map(({ key }) => key), version: last?.version ?? since, more: false }
  }
  const cut = rows[limit]!.version
  const whole = rows.filter(({ version }) => version < cut)
  if (whole.length > 0)
    return { keys: whole.map(({ key }) => key), version: whole.at(-1)!.version, more: true }
  // More items than a page changed at once: all of them come.
  const all = await tx.query<{ key: string }>(
    'select key from change where account = $1 and scope = $2 and version = $3 order by key',
    [account, scope, cut],
  )
  return { keys: all.map(({ key }) => key), version: cut, more: true }
}
