/** Writes down that the time of suspensions is over. They are over without it; what it brings about is that webhooks hear of it. */
import type { Logger } from 'pino'
import type { Store } from '../store/contract.ts'
import { startBackgroundTask } from './background-task.ts'
import type { WorkWatch } from './work-watch.ts'

const RETRY_MS = 10_000

export function startSuspensionEnds(
  store: Pick<Store, 'perform'>,
  watch: WorkWatch,
  log: Pick<Logger, 'warn'>,
): AsyncDisposable {
  return startBackgroundTask({
    name: 'suspensions end',
    async step() {
      const ended = await store.perform({ task: 'endSuspensions', input: {} })
      return ended > 0 ? 0 : 'idle'
    },
    work: () => watch.found('suspensions'),
    retryMs: RETRY_MS,
    log,
  })
}
