/** Takes away the content of messages that destroy themselves, some of one log at a time. */
import type { Logger } from 'pino'
import type { Store } from '../store/contract.ts'
import { startBackgroundTask } from './background-task.ts'
import type { WorkWatch } from './work-watch.ts'

const RETRY_MS = 5000
const MESSAGES_EACH = 50

export function startExpirySweeper(
  store: Pick<Store, 'perform'>,
  watch: WorkWatch,
  log: Pick<Logger, 'warn'>,
): AsyncDisposable {
  return startBackgroundTask({
    name: 'messages destroy themselves',
    async step() {
      const count = await store.perform({ task: 'expireMessages', input: { limit: MESSAGES_EACH } })
      return count > 0 ? 0 : 'idle'
    },
    work: () => watch.found('expiry'),
    retryMs: RETRY_MS,
    log,
  })
}
