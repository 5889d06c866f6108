/** Keeps the index of searches close behind the log, without getting in the way of sends. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Store } from '../store/contract.ts'
import { startBackgroundTask } from './background-task.ts'
import type { WorkWatch } from './work-watch.ts'

/** Entries of one step: some 10 ms of the store. */
const STEP_ENTRIES = 200
/** After the first message that is found waiting: more come, and a step for each is dear. */
const GATHER_MS = 250
/** While sends wait for a commit, the index may fall behind. */
const BUSY_MS = 500
/** With more to index: the store is free for sends this many times as long as a step took. */
const REST_FACTOR = 1
const RETRY_MS = 5000

export function startSearchIndexer(
  store: Pick<Store, 'perform' | 'metrics'>,
  watch: WorkWatch,
  log: Pick<Logger, 'warn'>,
): AsyncDisposable {
  return startBackgroundTask({
    name: 'messages are indexed for search',
    async step() {
      const begin = performance.now()
      const indexed = await store.perform({ task: 'indexMessages', input: { limit: STEP_ENTRIES } })
      if (indexed < STEP_ENTRIES) return 'idle'
      return store.metrics.waiting > 0 ? BUSY_MS : REST_FACTOR * (performance.now() - begin)
    },
    async work() {
      await watch.found('indexing')
      await sleep(GATHER_MS, undefined, { ref: false })
    },
    retryMs: RETRY_MS,
    log,
  })
}
