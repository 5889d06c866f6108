/** Operations of the catalogue that the store answers alone, by name. */
import type { OperationName, Params, Result } from '../../../protocol/catalogue/catalogue.ts'
import type { Caller } from '../contract.ts'
import type { Transaction } from './transaction.ts'

/** The parameters of an operation, with its caller. A `requestId` is dealt with before. */
export type StoredInput<Name extends OperationName> = Params<Name> & { caller: Caller }

export type StoredOperation<Name extends OperationName> = (
  tx: Transaction,
  input: StoredInput<Name>,
) => Promise<Result<Name>>

/** The operations of some names: `StoredOperations<'profile.get' | 'profile.set'>`. */
export type StoredOperations<Names extends OperationName> = {
  readonly [Name in Names]: StoredOperation<Name>
}

/** All operations whose name begins so, less those that need more than the store. */
export type StoredPart<Prefix extends string, Except extends OperationName = never> = StoredOperations<
  Exclude<Extract<OperationName, `${Prefix}${string}`>, Except>
>
