/** The operations that the store's thread answers, by name. The types hold them to the contract. */
import type { Store } from '../contract.ts'
import { accountOperations } from './accounts.ts'
import { contactOperations } from './contacts.ts'
import { conversationOperations } from './conversations.ts'
import { groupOperations } from './groups.ts'
import { inspectionOperations } from './inspection.ts'
import { plainOperations } from './plain.ts'
import { sessionOperations } from './sessions.ts'
import type { Work } from './work.ts'

/** The part of the contract that is calls: what {@link Store} has beside sends, feed and health. */
export type StoreCalls = Omit<Store, 'send' | 'feed' | 'metrics' | 'health' | typeof Symbol.asyncDispose>

/** A call of the contract, as the thread runs it: synchronous, inside the transaction of its batch. */
export type Operations<Calls> = {
  [Name in keyof Calls]: Calls[Name] extends (...input: infer Input) => Promise<infer Result>
    ? (work: Work, ...input: Input) => Result
    : never
}

export const OPERATIONS: Operations<StoreCalls> = {
  ...accountOperations,
  ...sessionOperations,
  ...contactOperations,
  ...groupOperations,
  ...conversationOperations,
  ...plainOperations,
  ...inspectionOperations,
}
