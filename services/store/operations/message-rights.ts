/** What a person may do to messages of a log: the rules of a send, and the roles of a group. */
import { WochatError } from '../../../protocol/errors.ts'
import { parseLog } from '../../../protocol/ids.ts'
import type { Caller } from '../contract.ts'
import type { Role } from './group-lookup.ts'
import type { Readable } from './message-access.ts'
import type { Transaction } from './transaction.ts'

/** `withheld`: the other side has blocked them and they are not to know; what they do reaches nobody. */
export type Right = 'open' | 'withheld'

/**
 * Whether the person takes part in the log now; refuses who left, and whom the other side does not hear. In a group it
 * is enough to be a member: {@link assertMayWrite} asks for more.
 */
export async function getRight(tx: Transaction, caller: Caller, readable: Readable): Promise<Right> {
  if (!readable.isOpen) throw new WochatError('not_member')
  const parsed = parseLog(readable.log.name)
  if (parsed?.kind === 'notice') throw new WochatError('forbidden', 'notices are written by the server')
  if (parsed?.kind !== 'direct' || parsed.a === parsed.b) return 'open'
  return directRight(tx, readable.account, parsed.a === caller.uid ? parsed.b : parsed.a)
}

/** The same rules in the same order as those of a send. */
async function directRight(tx: Transaction, account: number, peer: string): Promise<Right> {
  const row = await tx.first<{
    state: string
    takes: string | null
    contact: string | null
    blocked: number | null
    block_mode: string | null
  }>(
    `select account.state, account.takes, contact.state as contact, contact.blocked, contact.block_mode
     from account left join contact on contact.account = account.n and contact.peer = $2
     where account.uid = $1`,
    [peer, account],
  )
  if (row === undefined) throw new WochatError('unknown_user')
  const isBlocked = row.blocked === 1
  if (isBlocked && row.block_mode !== 'swallow') throw new WochatError('blocked')
  if (row.state !== 'active') throw new WochatError('account_inactive')
  if (row.takes === 'none') throw new WochatError('blocked')
  if (isBlocked) return 'withheld'
  if (tx.policy.contactsRequired && row.takes !== 'all' && row.contact !== 'friend') {
    throw new WochatError('not_friends')
  }
  return 'open'
}

// ---------------------------------------------------------------- groups

type GroupRules = {
  role: Role
  mutedUntil: number | null
  whoWrites: string
  whoPins: string
  groupMutedUntil: number | null
}

/** Of a log that the person is in now; undefined when it is no group. */
function findGroupRules(tx: Transaction, { account, log }: Readable): Promise<GroupRules | undefined> {
  return tx.first<GroupRules>(
    `select membership.role, membership.muted_until as "mutedUntil", chat_group.who_writes as "whoWrites",
       chat_group.who_pins as "whoPins", chat_group.muted_until as "groupMutedUntil"
     from membership join chat_group on chat_group.log = membership.log
     where membership.account = $1 and membership.log = $2 and membership.to_seq is null`,
    [account, log.n],
  )
}

/** Refuses who could not send a message there now. */
export async function assertMayWrite(tx: Transaction, readable: Readable): Promise<void> {
  const rules = await findGroupRules(tx, readable)
  if (rules === undefined) return
  const isMember = rules.role === 'member'
  if ((rules.mutedUntil ?? 0) > tx.now) throw new WochatError('muted')
  if (isMember && rules.whoWrites === 'admins') throw new WochatError('not_admin')
  if (isMember && (rules.groupMutedUntil ?? 0) > tx.now) throw new WochatError('muted')
}

/** Whether the person may take back what others wrote: owner and admins of a group. */
export async function mayModerate(tx: Transaction, readable: Readable): Promise<boolean> {
  const rules = await findGroupRules(tx, readable)
  return rules !== undefined && rules.role !== 'member'
}

/** In a group its rules say who pins, else both may. */
export async function assertMayPin(tx: Transaction, readable: Readable): Promise<void> {
  const rules = await findGroupRules(tx, readable)
  const isRefused = rules !== undefined && rules.whoPins !== 'members' && rules.role === 'member'
  if (isRefused) throw new WochatError('not_admin')
}
