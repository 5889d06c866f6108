/** A person's list of people: whole, in pages, and what changed on it since a version. */
import type { Result } from '../../../../protocol/catalogue/catalogue.ts'
import { LIST_ITEMS_DEFAULT } from '../../../../protocol/limits.ts'
import { changedSince } from '../changes.ts'
import type { StoredOperations } from '../stored.ts'
import type { Transaction } from '../transaction.ts'
import { type ProfileRow, profileCard } from './profile.ts'
import { type BlockMode, IS_LISTED, type Side } from './sides.ts'

/** A row of the list; `state` is of the account. */
type ListedRow = Pick<Side, 'text' | 'remark' | 'tags'> &
  ProfileRow & {
    contact_state: Side['state']
    blocked: number
    block_mode: BlockMode | null
    changed_at: number
  }

type Contact = Result<'contacts.list'>['items'][number]

const LISTED = `
  select account.uid, contact.state as contact_state, contact.blocked, contact.block_mode, contact.text, contact.remark,
    contact.tags, contact.changed_at, account.state, account.kind, profile.name, profile.avatar, profile.attributes
  from contact join account on account.n = contact.peer left join profile on profile.account = account.n
  where contact.account = $1 and ${IS_LISTED}`

export const contactListOperations: StoredOperations<'contacts.list' | 'contacts.changes'> = {
  async 'contacts.list'(tx, { caller, limit, cursor }) {
    const account = await tx.findAccount(caller.uid)
    if (account === undefined) return { items: [], version: 0 }
    // Before the rows: a change in between is told again, and none is missed.
    const version = await versionOf(tx, account)
    const max = limit ?? tx.policy.contactsMax
    const rows = await tx.query<ListedRow>(`${LISTED} and account.uid > $2 order by account.uid limit $3`, [
      account,
      cursor ?? '',
      max + 1,
    ])
    const page = rows.slice(0, max)
    const items = page.map(contactOf)
    return rows.length > max ? { items, version, cursor: page.at(-1)!.uid } : { items, version }
  },

  async 'contacts.changes'(tx, { caller, since, limit }) {
    const account = await tx.findAccount(caller.uid)
    if (account === undefined) return { items: [], version: since, more: false }
    const { keys, version, more } = await changedSince(
      tx,
      account,
      'contacts',
      since,
      limit ?? LIST_ITEMS_DEFAULT,
    )
    const rows = await tx.query<ListedRow>(`${LISTED} and account.uid in ${tx.list('$2', 'text')}`, [
      account,
      keys,
    ])
    const listed = new Map(rows.map((row) => [row.uid as string, row]))
    const items = keys.map((uid) => {
      const row = listed.get(uid)
      return row === undefined ? { uid, state: 'none', blocked: false, removed: true } : contactOf(row)
    })
    return { items, version, more }
  },
}

async function versionOf(tx: Transaction, account: number): Promise<number> {
  return (await tx.first<{ version: number }>('select version from account where n = $1', [account]))!.version
}

function contactOf(row: ListedRow): Contact {
  return {
    uid: row.uid,
    state: row.contact_state,
    blocked: row.blocked === 1,
    ...(row.blocked === 1 && { blockMode: row.block_mode ?? 'refuse' }),
    ...(row.remark !== null && { remark: row.remark }),
    ...(row.tags !== null && { tags: JSON.parse(row.tags) as string[] }),
    ...(row.text !== null && { text: row.text }),
    since: row.changed_at,
    // Of those whose changes are told to this list.
    ...((row.contact_state === 'friend' || row.contact_state === 'asked') && { profile: profileCard(row) }),
  }
}
