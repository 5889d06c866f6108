/** The operations that the store's thread answers, by name. The types hold them to the contract. */
import type { Store } from '../contract.ts'
import { runStored } from '../operations/operations.ts'
import { runTask } from '../operations/tasks.ts'
import { accountOperations } from './accounts.ts'
import { inspectionOperations } from './inspection.ts'
import { plainOperations } from './plain.ts'
import { sessionOperations } from './sessions.ts'
import { SqliteTransaction } from './transaction.ts'
import type { Work } from './work.ts'

/** The part of the contract that is calls: what {@link Store} has beside sends, feed and health. */
export type StoreCalls = Omit<Store, 'send' | 'feed' | 'metrics' | 'health' | typeof Symbol.asyncDispose>

/**
 * A call of the contract, as the thread runs it inside the transaction of its batch. Most are synchronous; a promise
 * is of one that waits for nothing but this thread's own queries, which are there at once.
 */
export type Operations<Calls> = {
  [Name in keyof Calls]: Calls[Name] extends (...input: infer Input) => Promise<infer Result>
    ? (work: Work, ...input: Input) => Result | Promise<Result>
    : never
}

export const OPERATIONS: Operations<StoreCalls> = {
  run: (work, call) => runStored(new SqliteTransaction(work), call) as never,
  runAsText: async (work, call) => JSON.stringify(await runStored(new SqliteTransaction(work), call)),
  perform: (work, task) => runTask(new SqliteTransaction(work), task) as never,
  ...accountOperations,
  ...sessionOperations,
  ...plainOperations,
  ...inspectionOperations,
}
