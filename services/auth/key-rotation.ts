/** Replaces the signing key when it has become old. */
import type { Logger } from 'pino'
import type { KeyAlgorithm, Keyring } from './keyring.ts'

export type KeyRotationSettings = {
  keyring: Keyring
  alg: KeyAlgorithm
  /** A key that signed for this long is replaced. */
  ageMaxMs: number
  /** How long the replaced key still verifies: at least the life of an access token. */
  keepMs: number
  log: Pick<Logger, 'info' | 'error'>
  now?: () => number
  checkEveryMs?: number
}

const CHECK_EVERY_MS = 10 * 60_000

/** Checks now and then until it is disposed of. Only the process that owns the data folder may run it. */
export function startKeyRotation(settings: KeyRotationSettings): AsyncDisposable {
  let running = rotateWhenDue(settings)
  const timer = setInterval(() => {
    running = running.then(() => rotateWhenDue(settings))
  }, settings.checkEveryMs ?? CHECK_EVERY_MS)
  timer.unref()
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await running
    },
  }
}

/** A failure is logged and tried again at the next check: the present key goes on signing. */
async function rotateWhenDue({
  keyring,
  log,
  now = Date.now,
  ...settings
}: KeyRotationSettings): Promise<void> {
  if (now() - keyring.signing.createdAt < settings.ageMaxMs) return
  try {
    await keyring.rotate(settings)
    log.info({ kid: keyring.signing.kid }, 'the signing key was replaced')
  } catch (error) {
    log.error({ err: error }, 'the signing key could not be replaced')
  }
}
