/** The catalogue: every operation of the contract, by name. */
import { authOperations } from './auth.ts'
import { botsOperations } from './bots.ts'
import { contactOperations } from './contacts.ts'
import { conversationOperations } from './conversations.ts'
import { groupOperations } from './groups.ts'
import { historyOperations } from './history.ts'
import { mediaOperations } from './media.ts'
import { messageLifeOperations } from './message-life.ts'
import { messageOperations } from './messages.ts'
import { moderationOperations } from './moderation.ts'
import type { Operation, ParamsOf, ResultOf } from './operation.ts'
import { presenceOperations } from './presence.ts'
import { profileOperations } from './profile.ts'
import { roomsOperations } from './rooms.ts'
import { searchOperations } from './search.ts'

export const CATALOGUE = {
  ...authOperations,
  ...contactOperations,
  ...groupOperations,
  ...conversationOperations,
  ...messageOperations,
  ...messageLifeOperations,
  ...historyOperations,
  ...searchOperations,
  ...profileOperations,
  ...presenceOperations,
  ...roomsOperations,
  ...mediaOperations,
  ...moderationOperations,
  ...botsOperations,
} as const

export type OperationName = keyof typeof CATALOGUE
export type Params<Name extends OperationName> = ParamsOf<(typeof CATALOGUE)[Name]>
export type Result<Name extends OperationName> = ResultOf<(typeof CATALOGUE)[Name]>

export const OPERATION_NAMES = Object.keys(CATALOGUE) as OperationName[]

const BY_NAME: ReadonlyMap<string, Operation> = new Map(Object.entries(CATALOGUE))

export const isMutating = (name: OperationName): boolean => CATALOGUE[name].mutating

/** The definition of an operation by a name from outside; `undefined` when there is none. */
export function findOperation(name: string): Operation | undefined {
  return BY_NAME.get(name)
}
