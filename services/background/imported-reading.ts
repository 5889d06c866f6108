/** Lets what was moved into large groups count as read, by some hundred members at a time. */
import type { Logger } from 'pino'
import type { Store } from '../store/contract.ts'
import { startBackgroundTask } from './background-task.ts'
import type { WorkWatch } from './work-watch.ts'

/** The store is free for others this many times as long as a step took. */
const REST_FACTOR = 3
const RETRY_MS = 5000

export function startImportedReading(
  store: Pick<Store, 'perform'>,
  watch: WorkWatch,
  log: Pick<Logger, 'warn'>,
): AsyncDisposable {
  return startBackgroundTask({
    name: 'imported messages count as read',
    async step() {
      const begin = performance.now()
      const more = await store.perform({ task: 'readImported', input: {} })
      return more ? REST_FACTOR * (performance.now() - begin) : 'idle'
    },
    work: () => watch.found('imported'),
    retryMs: RETRY_MS,
    log,
  })
}
