/** What a person may do to messages of a log: the rules of a send, and the roles of a group. */
import { WochatError } from '../../../../protocol/errors.ts'
import { type LogId, logKind, peerOf, type UserId } from '../../../../protocol/ids.ts'
import {
  type Act,
  DIRECT_FACTS,
  type DirectFacts,
  directRight,
  findMute,
  GROUP_FACTS,
  type GroupFacts,
  groupRight,
  type WriteRight,
} from '../../write-rules.ts'
import type { Readable } from '../entries/access.ts'
import type { Person, Transaction } from '../transaction.ts'

/** `withheld`: the other side has blocked them and they are not to know; what they do reaches nobody. */
export type Right = 'open' | 'withheld'

/** Refuses what they may not do now, as a send of theirs would be refused. */
export async function getRight(
  tx: Transaction,
  { uid }: { uid: UserId },
  { account, log, isOpen }: Readable,
  act: Act,
): Promise<Right> {
  if (!isOpen) throw new WochatError('not_member')
  if (logKind(log.name) === 'notice') throw new WochatError('forbidden', 'notices are written by the server')
  const { refusal, withheld } = await rightIn(tx, { uid, account }, log, act)
  if (refusal === 'muted') throw await mutedError(tx, account, log.n)
  if (refusal !== null) throw new WochatError(refusal)
  return withheld ? 'withheld' : 'open'
}

/** Says whether it is they or the whole group, and until when; read again, because only a refusal needs it. */
async function mutedError(tx: Transaction, account: number, log: number): Promise<WochatError> {
  const facts = await findGroupFacts(tx, account, log)
  return new WochatError('muted', undefined, { details: facts && findMute(facts, tx.now) })
}

/** What somebody may do in a direct conversation, which need not be there yet, or in a group. */
export async function rightIn(
  tx: Transaction,
  { uid, account }: Person,
  log: { n: number; name: LogId },
  act: Act,
): Promise<WriteRight> {
  const peer = peerOf(log.name, uid)
  if (peer === null) return groupRight(await findGroupFacts(tx, account, log.n), tx.now, act)
  if (peer === uid) return { refusal: null, withheld: false }
  const facts = await tx.first<DirectFacts>(DIRECT_FACTS, [peer, account])
  return directRight(facts, tx.policy.contactsRequired)
}

/** Whether the person may take back what others wrote: owner and admins of a group. */
export async function mayModerate(tx: Transaction, { account, log }: Readable): Promise<boolean> {
  if (logKind(log.name) !== 'group') return false
  const facts = await findGroupFacts(tx, account, log.n)
  return facts !== undefined && facts.role !== 'member'
}

function findGroupFacts(tx: Transaction, account: number, log: number): Promise<GroupFacts | undefined> {
  return tx.first<GroupFacts>(GROUP_FACTS, [account, log])
}
