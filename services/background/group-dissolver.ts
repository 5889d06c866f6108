/** Lets the members of dissolved groups out, a few hundred at a time. */
import type { Logger } from 'pino'
import type { Store } from '../store/contract.ts'
import { startBackgroundTask } from './background-task.ts'

/** With nobody to let out. */
const IDLE_MS = 5000
/** The store is free for sends this many times as long as a step took. */
const REST_FACTOR = 3
const RETRY_MS = 5000

export function startGroupDissolver(
  store: Pick<Store, 'perform'>,
  log: Pick<Logger, 'warn'>,
): AsyncDisposable {
  return startBackgroundTask({
    name: 'members of dissolved groups are let out',
    async step() {
      const begin = performance.now()
      const members = await store.perform({ task: 'letOutOfDissolved', input: {} })
      return members === 0 ? IDLE_MS : REST_FACTOR * (performance.now() - begin)
    },
    retryMs: RETRY_MS,
    log,
  })
}
