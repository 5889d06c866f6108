import { fileURLToPath } from 'node:url'
import { DEFAULT_POLICY } from '../../../services/store/policy.ts'
import { openPostgresStore, type PostgresSettings } from '../../../services/store/postgres/postgres-store.ts'
import type { SharedStore } from '../../../services/store/shared-store.ts'
import { createDatabase } from '../../harness/postgres.ts'
import type { EngineOptions, StoreEngine } from './engine.ts'

const silent = { info() {}, warn() {}, error() {} }

export type PostgresOptions = EngineOptions & Partial<Pick<PostgresSettings, 'node' | 'retryMs' | 'log'>>

export function openStore(
  url: string,
  {
    contactsRequired = true,
    policy = {},
    waitingSendsMax = 20_000,
    node = 'node',
    retryMs = 10_000,
    log = silent,
  }: PostgresOptions = {},
): Promise<SharedStore> {
  return openPostgresStore({
    url,
    node,
    policy: { ...DEFAULT_POLICY, ...policy, contactsRequired },
    connectionsMax: 6,
    waitingSendsMax,
    retryMs,
    applicationName: 'wochat-test',
    log,
  })
}

/** A store in a database of its own, which goes with it. */
export async function createPostgresEngine(): Promise<StoreEngine & AsyncDisposable> {
  const database = await createDatabase()
  return {
    open: (options) => openStore(database.url, options),
    module: fileURLToPath(import.meta.url),
    location: database.url,
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  }
}
