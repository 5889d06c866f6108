/** Microseconds since this process started. Sender and receiver live in one process, so one clock serves both ends. */
export function nowUs(): number {
  return Math.round(performance.now() * 1000)
}

/** Resolves after the time, or at once when the signal is aborted. */
export function sleepMs(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    if (signal?.aborted) done()
    else signal?.addEventListener('abort', done)
  })
}

/** True as soon as `condition` holds, false after `ms`. */
export async function waitUntil(
  condition: () => boolean,
  ms: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const end = performance.now() + ms
  while (!condition()) {
    if (performance.now() > end || signal?.aborted) return false
    await sleepMs(5)
  }
  return true
}
