/** Waiting for conditions, never for time. */

export const WAIT_MS = 15_000
const POLL_MS = 20

/**
 * Resolves with the first value of `condition` that is not false, null or undefined. Rejects after `timeoutMs`,
 * naming what was waited for. `everyMs`: more for a condition that costs something to ask.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string | (() => string),
  timeoutMs = WAIT_MS,
  everyMs = POLL_MS,
): Promise<NonNullable<Exclude<T, false>>> {
  const endAt = performance.now() + timeoutMs
  for (;;) {
    const value = await condition()
    if (value !== false && value !== null && value !== undefined) {
      return value as NonNullable<Exclude<T, false>>
    }
    if (performance.now() > endAt) {
      throw new Error(`waited ${timeoutMs} ms for ${typeof what === 'string' ? what : what()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}

/** Resolves when the clock is past a moment, in ms since 1970: what happens then has a later time. */
export async function untilAfter(at: number): Promise<void> {
  await until(() => Date.now() > at, `the clock to pass ${new Date(at).toISOString()}`)
}

/** The promise, or a rejection that names what did not come in time. */
export async function within<T>(promise: Promise<T>, what: string, timeoutMs = WAIT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${timeoutMs} ms for ${what}`)), timeoutMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
