/** Finding people by what identifies them exactly. */

import type { StoredOperations } from '../stored.ts'
import { PROFILES, type ProfileRow, profileOf } from './profile.ts'
import { settingOf } from './settings.ts'

export const peopleSearchOperations: StoredOperations<'accounts.search'> = {
  /** Whoever is not there, may not be found, rests, is erased or blocks the caller: one answer for all. */
  async 'accounts.search'(tx, { caller, query }) {
    const isPhone = query.startsWith('+')
    const row = await tx.first<ProfileRow & { n: number }>(
      `${PROFILES} where ${isPhone ? 'account.phone' : 'account.uid'} = $1 and account.state = 'active'`,
      [query],
    )
    if (row === undefined) return { items: [] }
    const { n, ...found } = row
    if (found.uid === caller.uid) return { items: [profileOf(found)] }
    const isOpen = await settingOf(tx, n, isPhone ? 'findByPhone' : 'findByUid')
    const isBlocking = await tx.first(
      `select 1 from contact join account on account.n = contact.peer
       where contact.account = $1 and account.uid = $2 and contact.blocked = 1`,
      [n, caller.uid],
    )
    return { items: isOpen && isBlocking === undefined ? [profileOf(found)] : [] }
  },
}
