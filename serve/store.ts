/** Which store this node has: SQLite in its data folder, or PostgreSQL. */
import { accessSync, constants, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { type Config, ConfigError } from '../config.ts'
import { createKeyDatabase } from '../services/auth/key-database.ts'
import { createKeyFile } from '../services/auth/key-file.ts'
import { startKeyRotation } from '../services/auth/key-rotation.ts'
import type { KeyStorage } from '../services/auth/key-storage.ts'
import { Keyring } from '../services/auth/keyring.ts'
import type { Store } from '../services/store/contract.ts'
import { openPool } from '../services/store/postgres/connections.ts'
import { openPostgresStore } from '../services/store/postgres/postgres-store.ts'
import type { SharedStore } from '../services/store/shared-store.ts'
import { openSqliteStore } from '../services/store/sqlite/client.ts'
import { STORE_FILE } from '../services/store/sqlite/files.ts'
import { FolderLockedError, lockFolder } from '../services/store/sqlite/folder-lock.ts'
import { policyOf } from './store-policy.ts'

/** Entries are filed into their tables after this long, if there were not enough for a batch before. */
const UNFILED_AGE_MAX_MS = 500
/** Of `databaseConnectionsMax`, for the signing keys. */
const KEY_CONNECTIONS = 1

type StoreParts = {
  config: Config
  /** Holder of the sessions that are opened here. */
  node: string
  log: Logger
  parts: AsyncDisposableStack
  onFatal: (error: Error) => void
}

type OpenedStore = {
  store: Store
  /** The same store, when nodes share it. */
  shared: SharedStore | null
  keys: Keyring
}

/** SQLite in the data folder; PostgreSQL where `databaseUrl` is set, and then no folder is needed. */
export function openStore(parts: StoreParts): Promise<OpenedStore> {
  return parts.config.databaseUrl === null ? openEmbedded(parts) : openShared(parts)
}

async function openEmbedded({ config, log, parts, onFatal }: StoreParts): Promise<OpenedStore> {
  prepareDataDir(config, parts)
  const keys = await openKeys(config, createKeyFile(join(config.dataDir, 'keys')), log, parts)
  const store = parts.use(
    await openSqliteStore({
      file: join(config.dataDir, STORE_FILE),
      policy: policyOf(config),
      unfiledAgeMaxMs: UNFILED_AGE_MAX_MS,
      waitingSendsMax: config.storeWaitingSendsMax,
      diskReserveBytes: config.diskReserveBytes,
      onFatal,
    }),
  )
  return { store, shared: null, keys }
}

async function openShared({ config, node, log, parts }: StoreParts): Promise<OpenedStore> {
  const url = config.databaseUrl!.reveal()
  const applicationName = `wochat ${config.nodeName}`
  try {
    const store = parts.use(
      await openPostgresStore({
        url,
        node,
        policy: policyOf(config),
        connectionsMax: config.databaseConnectionsMax - KEY_CONNECTIONS,
        waitingSendsMax: config.storeWaitingSendsMax,
        retryMs: config.databaseRetryMs,
        applicationName,
        log,
      }),
    )
    const pool = openPool({ url, connectionsMax: KEY_CONNECTIONS, applicationName })
    parts.defer(() => pool.end())
    const keys = await openKeys(config, createKeyDatabase(pool), log, parts)
    return { store, shared: store, keys }
  } catch (error) {
    throw new ConfigError(`WOCHAT_DATABASE_URL: ${(error as Error).message}`, { cause: error })
  }
}

async function openKeys(
  config: Config,
  storage: KeyStorage,
  log: Logger,
  parts: AsyncDisposableStack,
): Promise<Keyring> {
  const life = { alg: config.jwtAlgorithm, keepMs: config.signingKeyKeepMs }
  const keyring = await Keyring.open({ storage, ...life })
  parts.use(startKeyRotation({ keyring, ...life, ageMaxMs: config.signingKeyAgeMaxMs, log }))
  return keyring
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
