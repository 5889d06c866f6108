/** Takes away the content of messages that destroy themselves, some of one log at a time. */
import type { Logger } from 'pino'
import type { Store } from '../store/contract.ts'
import { startBackgroundTask } from './background-task.ts'

/** How late a message may be, ms. */
const EVERY_MS = 500
const RETRY_MS = 5000
const MESSAGES_EACH = 50

export function startExpirySweeper(
  store: Pick<Store, 'perform'>,
  log: Pick<Logger, 'warn'>,
): AsyncDisposable {
  return startBackgroundTask({
    name: 'messages destroy themselves',
    async step() {
      const count = await store.perform({ task: 'expireMessages', input: { limit: MESSAGES_EACH } })
      return count > 0 ? 0 : EVERY_MS
    },
    retryMs: RETRY_MS,
    log,
  })
}
