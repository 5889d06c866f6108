/** Who knows whom in the town, before and after the conversations began. */
import { admin } from '../../harness/admin.ts'
import type { Town } from './town.ts'

/** Pairs of friends, by role. */
const FRIENDS: Readonly<Record<string, readonly string[]>> = {
  owner: ['admin', 'peer', 'member', 'other', 'muted', 'late', 'left', 'banned', 'candidate', 'full'],
  anna: ['ben', 'ex', 'wall', 'sleeper'],
  member: ['ben'],
  swallower: ['pest'],
}
const IMPORTED_EACH = 500

export async function befriendTown(town: Town): Promise<void> {
  const { server, crowd } = town
  const uids = [...town.uid.values(), ...crowd]
  for (const part of parts(uids)) {
    await admin(server, 'importAccounts', { accounts: part.map((uid) => ({ uid })) })
  }
  const pairs = Object.entries(FRIENDS).flatMap(([role, others]) =>
    others.map((other) => ({ a: town.who(role), b: town.who(other) })),
  )
  pairs.push(...crowd.map((uid) => ({ a: town.who('full'), b: uid })))
  for (const part of parts(pairs)) await admin(server, 'importContacts', { pairs: part })
}

function parts<Item>(items: readonly Item[]): Item[][] {
  const count = Math.ceil(items.length / IMPORTED_EACH)
  return Array.from({ length: count }, (_, i) => items.slice(i * IMPORTED_EACH, (i + 1) * IMPORTED_EACH))
}

/** After everything was said: friendships end, people block and leave. */
export async function quarrel(town: Town): Promise<void> {
  const uid = (role: string) => ({ uid: town.who(role) })
  await town.do('ex', 'contacts.remove', uid('anna'))
  await town.do('wall', 'contacts.block', uid('anna'))
  await town.do('wall', 'contacts.block', uid('stranger'))
  await town.do('closed', 'settings.set', { whoMayAdd: 'nobody' })
  await town.do('hidden', 'settings.set', { findByUid: false })
  await town.do('stranger', 'contacts.request', uid('refuser'))
  await town.do('refuser', 'contacts.refuse', uid('stranger'))
  await town.do('sleeper', 'accounts.deactivate', {})
}
