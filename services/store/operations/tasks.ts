/**
 * What the server asks of the store for itself, in one transaction each: steps of an operation that needs more than the
 * store, and of work in the background. They are written like operations, but are not in the catalogue: nobody calls
 * them, so nothing of their input is checked, and refusals are for whoever they are run for.
 */
import { erasureTasks } from './accounts/erasure-steps.ts'
import { exportTasks } from './accounts/export.ts'
import { groupDissolvingTasks } from './groups/dissolving.ts'
import { importedReadingTasks } from './history/imported-reading.ts'
import { searchTasks } from './history/search-indexing.ts'
import { mediaTasks } from './media/tasks.ts'
import { expiryTasks } from './messages/expiry-tasks.ts'
import { forwardingTasks } from './messages/forwarding.ts'
import { scheduledTasks } from './messages/scheduled.ts'
import { bannedWordTasks } from './operator/banned-words.ts'
import { botTasks } from './operator/bots.ts'
import { broadcastTasks } from './operator/broadcasts.ts'
import { operatorTasks } from './operator/operator.ts'
import { retentionTasks } from './operator/retention.ts'
import { suspensionTasks } from './operator/suspensions.ts'
import { webhookTasks } from './operator/webhooks.ts'
import { presenceTasks } from './presence-tasks.ts'
import type { Transaction } from './transaction.ts'
import { waitingWorkTasks } from './waiting-work.ts'

type Task = (tx: Transaction, input: never) => Promise<unknown>

export const STORE_TASKS = {
  ...groupDissolvingTasks,
  ...erasureTasks,
  ...exportTasks,
  ...expiryTasks,
  ...forwardingTasks,
  ...importedReadingTasks,
  ...mediaTasks,
  ...operatorTasks,
  ...webhookTasks,
  ...botTasks,
  ...broadcastTasks,
  ...presenceTasks,
  ...bannedWordTasks,
  ...retentionTasks,
  ...scheduledTasks,
  ...searchTasks,
  ...suspensionTasks,
  ...waitingWorkTasks,
} as const satisfies Readonly<Record<string, Task>>

export type TaskName = keyof typeof STORE_TASKS
export type TaskInput<Name extends TaskName> = Parameters<(typeof STORE_TASKS)[Name]>[1]
export type TaskResult<Name extends TaskName> = Awaited<ReturnType<(typeof STORE_TASKS)[Name]>>

/** Tasks that only look: they need no transaction id, however often they are run. */
export const READING_TASKS: ReadonlySet<TaskName> = new Set<TaskName>([
  'findWork',
  'bannedWords',
  'findApiKey',
  'assertMaySend',
])

/** One task to be run. */
export type StoreTask<Name extends TaskName = TaskName> = { task: Name; input: TaskInput<Name> }

export function runTask(tx: Transaction, { task, input }: StoreTask): Promise<unknown> {
  return (STORE_TASKS[task] as Task)(tx, input as never)
}
