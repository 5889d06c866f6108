/** At a stop: waiting for what needs Redis or another service, which may be away, silent or in the middle of a failover. */
import type { Logger } from 'pino'

/** There are five such waits, one after the other: together they stay below the default of `stopTimeoutMs`. */
const STOP_WAIT_MS = 1000

/**
 * Resolves when `work` has ended, or after {@link STOP_WAIT_MS} with a line in the log: what was not done then is what a
 * node that dies leaves to the others. Rejects as `work` does.
 */
export async function endsInTime(
  work: Promise<unknown>,
  what: string,
  log: Pick<Logger, 'warn'>,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      log.warn({ waitedMs: STOP_WAIT_MS }, `stopping: ${what} did not end in time`)
      resolve()
    }, STOP_WAIT_MS)
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
