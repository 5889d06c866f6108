/** Every operation that the store answers alone, in one transaction, and how one is run. */
import { CATALOGUE, type OperationName } from '../../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../../protocol/errors.ts'
import type { StoredCall } from '../contract.ts'
import { accountEndOperations } from './account-erasure.ts'
import { contactOperations } from './contacts.ts'
import { conversationOperations } from './conversations.ts'
import { editOperations } from './edits.ts'
import { groupBanOperations } from './group-bans.ts'
import { groupDissolvingOperations } from './group-dissolving.ts'
import { groupJoiningOperations } from './group-joining.ts'
import { groupListOperations } from './group-list.ts'
import { groupMemberOperations } from './group-members.ts'
import { groupRequestOperations } from './group-requests.ts'
import { groupRoleOperations } from './group-roles.ts'
import { groupOperations } from './groups.ts'
import { hidingOperations } from './hiding.ts'
import { historyOperations } from './history.ts'
import { mediaOperations } from './media.ts'
import { once } from './once.ts'
import { peopleSearchOperations } from './people-search.ts'
import { pinOperations } from './pins.ts'
import { profileOperations } from './profile.ts'
import { reactionOperations } from './reactions.ts'
import { receiptOperations } from './receipts.ts'
import { reportOperations } from './reports.ts'
import { roomOperations } from './rooms.ts'
import { scheduledOperations } from './scheduled.ts'
import { searchOperations } from './search.ts'
import { settingsOperations } from './settings.ts'
import type { StoredOperation } from './stored.ts'
import type { Transaction } from './transaction.ts'

export const STORED_OPERATIONS = {
  ...contactOperations,
  ...conversationOperations,
  ...receiptOperations,
  ...mediaOperations,
  ...profileOperations,
  ...settingsOperations,
  ...peopleSearchOperations,
  ...accountEndOperations,
  ...groupOperations,
  ...groupListOperations,
  ...groupMemberOperations,
  ...groupRoleOperations,
  ...groupBanOperations,
  ...groupJoiningOperations,
  ...groupRequestOperations,
  ...groupDissolvingOperations,
  ...roomOperations,
  ...reportOperations,
  ...scheduledOperations,
  ...searchOperations,
  ...historyOperations,
  ...editOperations,
  ...reactionOperations,
  ...hidingOperations,
  ...pinOperations,
} as const satisfies { readonly [Name in OperationName]?: StoredOperation<Name> }

export type StoredName = keyof typeof STORED_OPERATIONS

/** Runs an operation; a mutating one with a `requestId` takes effect once. */
export async function runStored(
  tx: Transaction,
  { name, caller, params, screened = { params } }: StoredCall,
): Promise<unknown> {
  const operation = STORED_OPERATIONS[name as StoredName] as StoredOperation<OperationName>
  const { requestId, ...rest } = params as { requestId?: string }
  const effect = async () => {
    if ('refusal' in screened) throw WochatError.fromWire(screened.refusal)
    const { requestId: _, ...left } = screened.params as { requestId?: string }
    return operation(tx, { ...left, caller } as never)
  }
  if (!CATALOGUE[name].mutating || requestId === undefined) return effect()
  return once(tx, { caller, requestId, name, params: rest }, effect)
}
