/** The calls that PostgreSQL answers, by name. The types hold them to the contract. */

import { runStored } from '../operations/operations.ts'
import { runTask } from '../operations/tasks.ts'
import type { SharedStore } from '../shared-store.ts'
import { accountOperations } from './accounts.ts'
import { changeOperations } from './changes.ts'
import { placeLogs } from './inbox.ts'
import { inspectionOperations } from './inspection.ts'
import { PostgresTransaction } from './operation-transaction.ts'
import { plainOperations } from './plain.ts'
import { sessionOperations } from './sessions.ts'
import type { Operations } from './work.ts'

/** The part of the contract that is calls. */
export type SharedStoreCalls = Omit<
  SharedStore,
  'send' | 'feed' | 'metrics' | 'health' | 'database' | typeof Symbol.asyncDispose
>

export const OPERATIONS: Operations<SharedStoreCalls> = {
  run: (work, call) => runStored(new PostgresTransaction(work), call) as never,
  runAsText: async (work, call) => JSON.stringify(await runStored(new PostgresTransaction(work), call)),
  perform: (work, task) => runTask(new PostgresTransaction(work), task) as never,
  ...accountOperations,
  ...sessionOperations,
  ...plainOperations,
  ...inspectionOperations,
  ...changeOperations,
  placeLogs,
}
