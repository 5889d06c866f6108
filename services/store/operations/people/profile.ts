/** What people say of themselves: a name, a picture, free attributes. */
import type { Result } from '../../../../protocol/catalogue/catalogue.ts'
import { ATTRIBUTES_BYTES_MAX, ATTRIBUTES_MAX } from '../../../../protocol/catalogue/profile.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import type { UserId } from '../../../../protocol/ids.ts'
import { assertOwnAvatar } from '../media/rows.ts'
import type { StoredPart } from '../stored.ts'
import { type AccountState, onlookersOf, tellSelf, touchOnlookers } from './account-state.ts'
import { IS_LISTED } from './sides.ts'

/** An account with its profile, which not everybody has. */
export type ProfileRow = {
  uid: UserId
  state: AccountState
  kind: string
  name: string | null
  avatar: string | null
  /** JSON. */
  attributes: string | null
}

export type Profile = Result<'profile.set'>

/** What is shown in place of the name of somebody who is gone. */
const ERASED_NAME = 'deleted account'

/** SQL of rows of {@link ProfileRow}, with the number of the account; ends before `where`. */
export const PROFILES = `
  select account.n, account.uid, account.state, account.kind, profile.name, profile.avatar, profile.attributes
  from account left join profile on profile.account = account.n`

export const profileOperations: StoredPart<'profile.'> = {
  async 'profile.get'(tx, { caller, uids }) {
    const account = await tx.findAccount(caller.uid)
    const rows = await tx.query<ProfileRow>(
      `${PROFILES} where account.uid in ${tx.list('$1', 'text')} and ${IS_SHOWN} order by account.uid`,
      [uids ?? [caller.uid], account ?? 0],
    )
    return { items: rows.map(profileOf) }
  },

  async 'profile.set'(tx, { caller, name, avatar, attributes }) {
    const me = { uid: caller.uid, account: await tx.ensureAccount(caller.uid) }
    await assertOwnAvatar(tx, me.account, avatar)
    // Before anything is written, and all at once: several accounts are locked in the order of their numbers.
    const onlookers = await onlookersOf(tx, me.account)
    await tx.lockAccounts([me.account, ...onlookers])
    const old = (await tx.first<ProfileRow>(`${PROFILES} where account.n = $1`, [me.account]))!
    const next = {
      ...old,
      ...(name !== undefined && { name }),
      ...(avatar !== undefined && { avatar }),
      ...(attributes !== undefined && { attributes: mergeAttributes(old.attributes, attributes) }),
    }
    await tx.query(
      `insert into profile (account, name, avatar, attributes, changed_at) values ($1, $2, $3, $4, $5)
       on conflict (account) do update set name = excluded.name, avatar = excluded.avatar,
         attributes = excluded.attributes, changed_at = excluded.changed_at`,
      [me.account, next.name ?? '', next.avatar, next.attributes ?? '{}', tx.now],
    )
    await touchOnlookers(tx, me, onlookers)
    await tellSelf(tx, caller, 'profile')
    return profileOf(next)
  },
}

/**
 * Of an account: the caller (whose number is `$2`) may see the profile. That is anybody who knows the uid, unless the
 * person is not to be found by it: then whoever has to do with them.
 */
const IS_SHOWN = `(account.n = $2
  or not exists (select 1 from setting where setting.account = account.n and setting.name = 'findByUid' and value = 'false')
  or exists (select 1 from contact where contact.account = account.n and contact.peer = $2 and ${IS_LISTED})
  or exists (select 1 from contact where contact.account = $2 and contact.peer = account.n and ${IS_LISTED})
  or exists (select 1 from membership mine join membership theirs on theirs.log = mine.log
    where mine.account = $2 and mine.to_seq is null and theirs.account = account.n and theirs.to_seq is null))`

/** A whole profile. Of an account that was erased nothing is left to tell. */
export function profileOf(row: ProfileRow): Profile {
  const isErased = row.state === 'erased'
  return {
    uid: row.uid,
    ...profileCard(row),
    attributes: isErased || row.attributes === null ? {} : JSON.parse(row.attributes),
    kind: row.kind,
  }
}

/** What lists show of a person. */
export function profileCard(row: Pick<ProfileRow, 'name' | 'avatar' | 'state'>) {
  if (row.state === 'erased') return { name: ERASED_NAME, state: row.state }
  return {
    ...(row.name !== null && row.name !== '' && { name: row.name }),
    ...(row.avatar !== null && { avatar: row.avatar }),
    state: row.state,
  }
}

/** The attributes with those of a call put over them, as JSON; refuses `bad_request` when they are too many or too long. */
function mergeAttributes(oldJson: string | null, changes: Record<string, string | null> | null): string {
  const merged = new Map<string, string>(
    changes === null ? [] : Object.entries(JSON.parse(oldJson ?? '{}') as Record<string, string>),
  )
  for (const [name, value] of Object.entries(changes ?? {})) {
    if (value === null) merged.delete(name)
    else merged.set(name, value)
  }
  const json = JSON.stringify(Object.fromEntries(merged))
  if (merged.size > ATTRIBUTES_MAX) {
    throw new WochatError('bad_request', `attributes: at most ${ATTRIBUTES_MAX}`)
  }
  if (Buffer.byteLength([...merged].flat().join('')) > ATTRIBUTES_BYTES_MAX) {
    throw new WochatError('bad_request', `attributes: at most ${ATTRIBUTES_BYTES_MAX} bytes in all`)
  }
  return json
}
