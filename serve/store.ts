/** Which store this node has: SQLite in its data folder, or PostgreSQL. */
import { accessSync, constants, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { type Config, ConfigError } from '../config.ts'
import { createKeyFile } from '../services/auth/key-file.ts'
import { startKeyRotation } from '../services/auth/key-rotation.ts'
import { Keyring } from '../services/auth/keyring.ts'
import type { Store } from '../services/store/contract.ts'
import type { SharedStore } from '../services/store/shared-store.ts'
import { openSqliteStore } from '../services/store/sqlite/client.ts'
import { STORE_FILE } from '../services/store/sqlite/files.ts'
import { FolderLockedError, lockFolder } from '../services/store/sqlite/folder-lock.ts'

/** Entries are filed into their tables after this long, if there were not enough for a batch before. */
const UNFILED_AGE_MAX_MS = 500

export type StoreParts = {
  config: Config
  /** Holder of the sessions that are opened here. */
  node: string
  log: Logger
  parts: AsyncDisposableStack
  onFatal: (error: Error) => void
}

export type OpenedStore = {
  store: Store
  /** The same store, when nodes share it. */
  shared: SharedStore | null
  keys: Keyring
}

export async function openStore({ config, log, parts, onFatal }: StoreParts): Promise<OpenedStore> {
  prepareDataDir(config, parts)
  const keyLife = { alg: config.jwtAlgorithm, keepMs: config.signingKeyKeepMs }
  const keys = await Keyring.open({ storage: createKeyFile(join(config.dataDir, 'keys')), ...keyLife })
  parts.use(startKeyRotation({ keyring: keys, ...keyLife, ageMaxMs: config.signingKeyAgeMaxMs, log }))
  const store = parts.use(
    await openSqliteStore({
      file: join(config.dataDir, STORE_FILE),
      policy: { contactsRequired: config.contactsRequired },
      unfiledAgeMaxMs: UNFILED_AGE_MAX_MS,
      waitingSendsMax: config.storeWaitingSendsMax,
      diskReserveBytes: config.diskReserveBytes,
      onFatal,
    }),
  )
  return { store, shared: null, keys }
}

/** Makes the data folder and locks it: one process has it. */
function prepareDataDir(config: Config, parts: AsyncDisposableStack): void {
  try {
    mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
    accessSync(config.dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
    const lock = lockFolder(config.dataDir)
    parts.defer(() => lock.release())
  } catch (error) {
    const reason =
      error instanceof FolderLockedError
        ? error.message
        : `${config.dataDir} cannot be written: ${(error as Error).message}`
    throw new ConfigError(`WOCHAT_DATA_DIR: ${reason}`, { cause: error })
  }
}
