/** The catalogue: every operation of the contract, by name. */
import { authOperations } from './auth.ts'
import { contactOperations } from './contacts.ts'
import { conversationOperations } from './conversations.ts'
import { groupOperations } from './groups.ts'
import type { Operation, ParamsOf, ResultOf } from './operation.ts'

export const CATALOGUE = {
  ...authOperations,
  ...contactOperations,
  ...groupOperations,
  ...conversationOperations,
} as const

export type OperationName = keyof typeof CATALOGUE
export type Params<Name extends OperationName> = ParamsOf<(typeof CATALOGUE)[Name]>
export type Result<Name extends OperationName> = ResultOf<(typeof CATALOGUE)[Name]>

export const OPERATION_NAMES = Object.keys(CATALOGUE) as OperationName[]

const BY_NAME: ReadonlyMap<string, Operation> = new Map(Object.entries(CATALOGUE))

/** The definition of an operation by a name from outside; `undefined` when there is none. */
export function findOperation(name: string): Operation | undefined {
  return BY_NAME.get(name)
}
