/** Replaces the signing key when it has become old, and notices when another process has. */
import type { Logger } from 'pino'
import { startBackgroundTask } from '../background/background-task.ts'
import type { KeyAlgorithm, Keyring } from './keyring.ts'

type KeyRotationSettings = {
  keyring: Keyring
  alg: KeyAlgorithm
  /** A key that signed for this long is replaced. */
  ageMaxMs: number
  /** How long the replaced key still verifies: at least the life of an access token. */
  keepMs: number
  log: Pick<Logger, 'info' | 'warn' | 'error'>
  now?: () => number
  checkEveryMs?: number
}

/** Within this time a process signs with the key that another one has made. */
export const KEY_CHECK_EVERY_MS = 60_000

/** Checks now and then until it is disposed of. With a file of keys, only the process that owns the data folder may run it. */
export function startKeyRotation(settings: KeyRotationSettings): AsyncDisposable {
  const { checkEveryMs = KEY_CHECK_EVERY_MS, log } = settings
  return startBackgroundTask({
    name: 'signing keys are replaced',
    async step() {
      await rotateWhenDue(settings)
      return checkEveryMs
    },
    retryMs: checkEveryMs,
    log,
  })
}

/** A failure is logged and tried again at the next check: the present key goes on signing. */
async function rotateWhenDue({
  keyring,
  log,
  now = Date.now,
  ...settings
}: KeyRotationSettings): Promise<void> {
  try {
    await keyring.reload()
  } catch (error) {
    log.warn({ err: error }, 'the signing keys could not be read again')
    return
  }
  if (now() - keyring.signing.createdAt < settings.ageMaxMs) return
  try {
    await keyring.rotate(settings)
    log.info({ kid: keyring.signing.kid }, 'the signing key was replaced')
  } catch (error) {
    log.error({ err: error }, 'the signing key could not be replaced')
  }
}
