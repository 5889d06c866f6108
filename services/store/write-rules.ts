/**
 * Who may write in a log, as the tables say it: one place for the sends of SQLite and for the operations of both
 * engines. Each reads the facts for itself, and asks the same function. commit_sends of PostgreSQL has the same rules in
 * the same order in SQL; test/contract/store/write-rules-contract.ts holds all of them to one table.
 */
import type { ErrorCode } from '../../protocol/errors.ts'

/** `withheld`: they may, and nobody sees it. `visits`: they are no member, and may while they have a seat. */
export type WriteRight = { refusal: ErrorCode | null; withheld: boolean; visits?: true }

/** What somebody is about to do; an edit is a `write`. */
export type Act = 'write' | 'react' | 'pin'

const MAY: WriteRight = { refusal: null, withheld: false }
const WITHHELD: WriteRight = { refusal: null, withheld: true }
const refused = (refusal: ErrorCode): WriteRight => ({ refusal, withheld: false })

// ---------------------------------------------------------------- to one person

/** The account with the uid $1, and what it says of account $2, who writes. */
export const DIRECT_FACTS = `
  select peer.state, peer.takes, contact.state as contact, contact.blocked, contact.block_mode as "blockMode",
    (select me.kind from account as me where me.n = $2) as "senderKind"
  from account as peer left join contact on contact.account = peer.n and contact.peer = $2
  where peer.uid = $1`

export type DirectFacts = {
  state: string
  takes: string | null
  contact: string | null
  blocked: number | null
  blockMode: string | null
  senderKind: string
}

/** The same for every {@link Act}. Notes to oneself need no right. */
export function directRight(facts: DirectFacts | undefined, contactsRequired: boolean): WriteRight {
  if (facts === undefined) return refused('unknown_user')
  const isBlocked = facts.blocked === 1
  if (isBlocked && facts.blockMode !== 'swallow') return refused('blocked')
  if (facts.state !== 'active') return refused('account_inactive')
  if (facts.takes === 'none') return refused('blocked')
  if (isBlocked) return WITHHELD
  // An account of the operator writes to everybody.
  const isExempt = !contactsRequired || facts.takes === 'all' || facts.senderKind === 'system'
  return isExempt || facts.contact === 'friend' ? MAY : refused('not_friends')
}

// ---------------------------------------------------------------- in a group

/** Of account $1 in the log $2. */
export const GROUP_FACTS = `
  select m.role, m.muted_until as "mutedUntil", g.who_writes as "whoWrites", g.who_pins as "whoPins",
    g.muted_until as "groupMutedUntil", g.keeps_entries as "keepsEntries"
  from membership m left join chat_group g on g.log = m.log
  where m.account = $1 and m.log = $2 and m.to_seq is null`

/**
 * Of account $1 in the log $2 at the time $3, who is no member: in a room that keeps nothing, nobody is one but who made
 * it, and all may write who have a seat and are not banned.
 */
export const VISITOR_FACTS = `
  select 'member' as role, null as "mutedUntil", g.who_writes as "whoWrites", g.who_pins as "whoPins",
    g.muted_until as "groupMutedUntil", g.keeps_entries as "keepsEntries"
  from chat_group g
  where g.log = $2 and g.keeps_entries = 0 and g.dissolved_at is null and not exists (
    select 1 from group_ban b where b.log = g.log and b.account = $1 and (b.until is null or b.until > $3))`

export type GroupFacts = {
  role: string
  mutedUntil: number | null
  whoWrites: string | null
  whoPins: string | null
  groupMutedUntil: number | null
  keepsEntries: number | null
}

/** Whose mute it is that refuses `muted`, and when it ends, in ms. */
export type Mute = { of: 'member' | 'group'; until: number }

export function findMute({ role, mutedUntil, groupMutedUntil }: GroupFacts, now: number): Mute | undefined {
  if (mutedUntil !== null && mutedUntil > now) return { of: 'member', until: mutedUntil }
  const isHeld = role === 'member' && groupMutedUntil !== null && groupMutedUntil > now
  return isHeld ? { of: 'group', until: groupMutedUntil } : undefined
}

/**
 * Who is muted says nothing, by a reaction neither; where only admins write, members may react. A room that keeps nothing
 * refuses `transient_only`, which a transient message is not concerned by.
 */
export function groupRight(facts: GroupFacts | undefined, now: number, act: Act): WriteRight {
  if (facts === undefined) return refused('not_member')
  const isMember = facts.role === 'member'
  if (act === 'pin') return isMember && facts.whoPins !== 'members' ? refused('not_admin') : MAY
  if ((facts.mutedUntil ?? 0) > now) return refused('muted')
  if (isMember && facts.whoWrites === 'admins' && act === 'write') return refused('not_admin')
  if (isMember && (facts.groupMutedUntil ?? 0) > now) return refused('muted')
  return facts.keepsEntries === 0 && act === 'write' ? refused('transient_only') : MAY
}
