/** Work that goes on beside the requests: steps that are repeated until the process stops. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'

type BackgroundTask = {
  /** For the log: `messages are indexed`. */
  name: string
  /** One bounded step; answers how long to wait before the next one, ms, or `idle`: until there is work again. */
  step: () => Promise<number | 'idle'>
  /** Resolves when there is work, of a task whose steps say `idle`; it may go on waiting after a stop. */
  work?: () => Promise<void>
  /** The wait before the first step, ms. */
  firstAfterMs?: number
  /** The wait after a step that failed. */
  retryMs: number
  log: Pick<Logger, 'warn'>
}

/**
 * Runs steps one after the other. One that fails is logged and tried again later; the first of several failures in a row
 * only, so that a store that is away does not fill the log, and none that a stop brings about. Disposing waits for the step under way.
 */
export function startBackgroundTask({
  name,
  step,
  work,
  firstAfterMs = 0,
  retryMs,
  log,
}: BackgroundTask): AsyncDisposable {
  const stop = new AbortController()
  let isFailing = false
  let wake = () => {}

  async function tryStep(): Promise<number | 'idle'> {
    try {
      const waitMs = await step()
      isFailing = false
      return waitMs
    } catch (error) {
      if (!isFailing && !stop.signal.aborted)
        log.warn({ err: error, task: name }, 'a task in the background failed; it is tried again')
      isFailing = true
      return retryMs
    }
  }

  async function pause(ms: number | 'idle'): Promise<void> {
    if (stop.signal.aborted) return
    if (ms !== 'idle') return sleep(ms, undefined, { signal: stop.signal, ref: false }).catch(() => {})
    await new Promise<void>((resolve) => {
      wake = resolve
      void work!().then(resolve)
    })
  }

  async function run(): Promise<void> {
    if (firstAfterMs > 0) await pause(firstAfterMs)
    while (!stop.signal.aborted) await pause(await tryStep())
  }

  const running = run()
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      wake()
      await running
    },
  }
}
