/** Every operation that the store answers alone, in one transaction, and how one is run. */
import { CATALOGUE, type OperationName } from '../../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../../protocol/errors.ts'
import type { StoredCall } from '../contract.ts'
import { accountEndOperations } from './accounts/erasure.ts'
import { conversationOperations } from './conversations/conversations.ts'
import { receiptOperations } from './conversations/receipts.ts'
import { groupBanOperations } from './groups/bans.ts'
import { groupDissolvingOperations } from './groups/dissolving.ts'
import { groupOperations } from './groups/groups.ts'
import { groupJoiningOperations } from './groups/joining.ts'
import { groupListOperations } from './groups/list.ts'
import { groupMemberOperations } from './groups/members.ts'
import { groupRequestOperations } from './groups/requests.ts'
import { groupRoleOperations } from './groups/roles.ts'
import { roomOperations } from './groups/rooms.ts'
import { historyOperations } from './history/history.ts'
import { searchOperations } from './history/search.ts'
import { mediaOperations } from './media/media.ts'
import { editOperations } from './messages/edits.ts'
import { hidingOperations } from './messages/hiding.ts'
import { pinOperations } from './messages/pins.ts'
import { reactionOperations } from './messages/reactions.ts'
import { scheduledOperations } from './messages/scheduled.ts'
import { once } from './once.ts'
import { reportOperations } from './operator/reports.ts'
import { contactOperations } from './people/contacts.ts'
import { profileOperations } from './people/profile.ts'
import { peopleSearchOperations } from './people/search.ts'
import { settingsOperations } from './people/settings.ts'
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
