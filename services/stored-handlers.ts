/** Handlers of the operations that the store answers alone. */
import { callerOf, type Handler } from './dispatcher.ts'
import type { OperationStore } from './store/contract.ts'
import { STORED_OPERATIONS, type StoredName } from './store/operations/operations.ts'

export type StoredHandlers = { readonly [Name in StoredName]: Handler<Name> }

export function createStoredHandlers(store: OperationStore): StoredHandlers {
  const handlerOf = <Name extends StoredName>(name: Name): Handler<Name> => {
    return (params, context) => store.run({ name, caller: callerOf(context), params })
  }
  const names = Object.keys(STORED_OPERATIONS) as StoredName[]
  return Object.fromEntries(names.map((name) => [name, handlerOf(name)])) as unknown as StoredHandlers
}
