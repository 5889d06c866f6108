/** Lets the members of dissolved groups out, a few hundred at a time. */
import type { Logger } from 'pino'
import type { Store } from '../store/contract.ts'
import { startBackgroundTask } from './background-task.ts'
import type { WorkWatch } from './work-watch.ts'

/** The store is free for sends this many times as long as a step took. */
const REST_FACTOR = 3
const RETRY_MS = 5000

export function startGroupDissolver(
  store: Pick<Store, 'perform'>,
  watch: WorkWatch,
  log: Pick<Logger, 'warn'>,
): AsyncDisposable {
  return startBackgroundTask({
    name: 'members of dissolved groups are let out',
    async step() {
      const begin = performance.now()
      const members = await store.perform({ task: 'letOutOfDissolved', input: {} })
      return members === 0 ? 'idle' : REST_FACTOR * (performance.now() - begin)
    },
    work: () => watch.found('dissolved'),
    retryMs: RETRY_MS,
    log,
  })
}
