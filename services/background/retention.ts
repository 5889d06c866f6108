/** Deletes what is older than its kind of conversation keeps, in rounds over all logs. */
import type { Logger } from 'pino'
import type { Store } from '../store/contract.ts'
import type { ExpiredLog, RetainedKind } from '../store/operations/operator/retention.ts'
import { startBackgroundTask } from './background-task.ts'

type RetentionSettings = {
  /** How long each kind of conversation keeps entries, ms; 0 keeps them for ever. */
  keepMs: { readonly [Kind in RetainedKind]: number }
  /** From the end of a round to the begin of the next, ms. */
  everyMs: number
}

/** Logs looked at by one step. */
const LOGS_EACH = 200
/** Between two steps, so that a round takes a small part of the store's time. */
const PAUSE_MS = 20
const RETRY_MS = 10_000

/** Null where nothing is ever deleted. */
export function startRetention(
  store: Pick<Store, 'perform'>,
  { keepMs, everyMs }: RetentionSettings,
  log: Pick<Logger, 'warn'>,
): AsyncDisposable | null {
  if (Object.values(keepMs).every((ms) => ms === 0)) return null
  const kinds = Object.keys(keepMs) as RetainedKind[]
  const times = () => {
    const now = Date.now()
    return Object.fromEntries(
      kinds.map((kind) => [kind, keepMs[kind] === 0 ? null : now - keepMs[kind]]),
    ) as Record<RetainedKind, number | null>
  }
  let after = 0
  const expired: ExpiredLog[] = []

  return startBackgroundTask({
    name: 'old entries are deleted',
    async step() {
      const due = expired[0]
      if (due !== undefined) {
        if (await store.perform({ task: 'deleteExpired', input: due })) expired.shift()
        return PAUSE_MS
      }
      const found = await store.perform({
        task: 'findExpired',
        input: { after, limit: LOGS_EACH, times: times() },
      })
      expired.push(...found.expired)
      // A log with more to delete than one step takes is found again at once.
      if (found.expired.length === 0) after = found.next ?? 0
      return found.next === null && found.expired.length === 0 ? everyMs : PAUSE_MS
    },
    retryMs: RETRY_MS,
    log,
  })
}
