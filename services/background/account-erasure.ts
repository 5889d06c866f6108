/** Goes on with the accounts that are being erased until nothing is left of them. */
import type { Logger } from 'pino'
import type { Store } from '../store/contract.ts'
import { startBackgroundTask } from './background-task.ts'

/** Between two steps, so that a long erasure takes a small part of the store's time. */
const PAUSE_MS = 10
/** While there is nothing to do. */
const IDLE_MS = 2000
const RETRY_MS = 10_000

export function startErasure(store: Pick<Store, 'perform'>, log: Pick<Logger, 'warn'>): AsyncDisposable {
  return startBackgroundTask({
    name: 'accounts are erased',
    async step() {
      const { more } = await store.perform({ task: 'eraseStep', input: {} })
      return more ? PAUSE_MS : IDLE_MS
    },
    retryMs: RETRY_MS,
    log,
  })
}
