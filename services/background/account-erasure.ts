/** Goes on with the accounts that are being erased until nothing is left of them. */
import type { Logger } from 'pino'
import type { Store } from '../store/contract.ts'
import { startBackgroundTask } from './background-task.ts'
import type { WorkWatch } from './work-watch.ts'

/** Between two steps, so that a long erasure takes a small part of the store's time. */
const PAUSE_MS = 10
const RETRY_MS = 10_000

export function startErasure(
  store: Pick<Store, 'perform'>,
  watch: WorkWatch,
  log: Pick<Logger, 'warn'>,
): AsyncDisposable {
  return startBackgroundTask({
    name: 'accounts are erased',
    async step() {
      const { more } = await store.perform({ task: 'eraseStep', input: {} })
      return more ? PAUSE_MS : 'idle'
    },
    work: () => watch.found('erasure'),
    retryMs: RETRY_MS,
    log,
  })
}
