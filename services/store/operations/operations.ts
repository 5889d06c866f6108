/** Every operation that the store answers alone, in one transaction, and how one is run. */
import { CATALOGUE, type OperationName } from '../../../protocol/catalogue/catalogue.ts'
import { accountEndOperations } from './account-erasure.ts'
import type { StoredCall } from '../contract.ts'
import { contactOperations } from './contacts.ts'
import { conversationOperations } from './conversations.ts'
import { groupMemberOperations } from './group-members.ts'
import { groupOperations } from './groups.ts'
import { mediaOperations } from './media.ts'
import { once } from './once.ts'
import { peopleSearchOperations } from './people-search.ts'
import { profileOperations } from './profile.ts'
import { receiptOperations } from './receipts.ts'
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
  ...accountEndOperations,
  ...peopleSearchOperations,
  ...groupOperations,
  ...groupMemberOperations,
  ...searchOperations,
} as const satisfies { readonly [Name in OperationName]?: StoredOperation<Name> }

export type StoredName = keyof typeof STORED_OPERATIONS

/** Runs an operation; a mutating one with a `requestId` takes effect once. */
export async function runStored(tx: Transaction, { name, caller, params }: StoredCall): Promise<unknown> {
  const operation = STORED_OPERATIONS[name as StoredName] as StoredOperation<OperationName>
  const { requestId, ...rest } = params as { requestId?: string }
  const effect = () => operation(tx, { ...rest, caller } as never)
  if (!CATALOGUE[name].mutating || requestId === undefined) return effect()
  return once(tx, { caller, requestId, name, params: rest }, effect)
}
